"""The one place that holds podmap's version."""

__version__ = "0.1.0"
