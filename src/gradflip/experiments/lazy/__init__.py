"""Networks trained inside a ball around their initialisation (Wang et al. 2022)."""
