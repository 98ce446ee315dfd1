"""voxzoo: a model zoo and evaluation library for medical images."""

__version__ = "0.1.0"
