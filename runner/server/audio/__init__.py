"""Fireworks' audio batch API: one recording a request, worked off in the background."""
