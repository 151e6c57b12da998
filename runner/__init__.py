"""Makes remote batch inference APIs match YAML specs that live in git."""

__version__ = "0.1.0"
