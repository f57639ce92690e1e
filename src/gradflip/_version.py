"""The version: one place, read by the package, the build and the run folder."""

__version__ = "0.1.0"
