"""YAML files to a checked project: every name resolved, every problem with its place."""
