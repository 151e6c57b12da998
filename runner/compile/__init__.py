"""Specs and rows in; digests, sizes and request lines out. Pure but for reading datasets."""
