"""Two-class data with labels in {-1, +1}: images resized to any size, and inputs on the sphere."""

from gradflip.data._load import DATA_NAMES, load_data
from gradflip.data._split import Split

__all__ = ["DATA_NAMES", "Split", "load_data"]
