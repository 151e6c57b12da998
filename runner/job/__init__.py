"""The nouns: one job from three sides. Everybody may import this package; it imports nobody of ours."""
