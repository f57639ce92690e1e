"""Statements about every network of the ball (Wang et al. 2022, Sections 3 and 4)."""
