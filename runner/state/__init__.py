"""Memory between runs: `.runner/` in the project root, 0700, never committed."""
