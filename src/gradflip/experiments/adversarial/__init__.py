"""Networks trained inside a ball against perturbed inputs (Wang et al. 2022, Algorithm 1)."""
