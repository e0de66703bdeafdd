"""Adapters for other packages. Nothing here is imported by the rest of the package."""
