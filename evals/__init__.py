"""Compares the workflow with simpler methods. See README.md."""
