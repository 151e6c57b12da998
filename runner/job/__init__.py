"""The nouns: one job from three sides. Everybody may import this package; of ours it imports the errors only."""
