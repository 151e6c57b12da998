"""Specs and rows in; digests, sizes and request lines out.

No network, state or clock: datasets are read, templates are rendered in a process of its own, and what was compiled is
kept in a cache.
"""
