"""What Fireworks lists for well-known models, as a floor: a spec that says less is not believed where money is counted.

USD per 1M tokens (input, output), serverless; the batch discount comes off as for any price. A model that is not here
has no floor, only no price of 0. Source: fireworks.ai/pricing, by size of the base model: up to 16B $0.20, to 80B $0.90
(stored copy, read 2026-11-30).
"""

from __future__ import annotations

_MODELS = "accounts/fireworks/models/"
FLOORS = {
    f"{_MODELS}llama-v3p1-8b-instruct": (0.20, 0.20),
    f"{_MODELS}llama-v3p1-70b-instruct": (0.90, 0.90),
    f"{_MODELS}llama-v3p3-70b-instruct": (0.90, 0.90),
    f"{_MODELS}qwen2p5-72b-instruct": (0.90, 0.90),
}
