"""Temperatures of the stages, and the search for near-duplicates."""
