"""What OpenAI lists for well-known models, as a floor: a spec that says less is not believed where money is counted.

USD per 1M tokens (input, output), synchronous; the batch discount comes off as for any price. A model that is not here
has no floor, only no price of 0. Source: developers.openai.com, "Pricing", as quoted by api-evangelist on 2026-11-06
and by two client libraries; the lower one where they differ (2026-11-30). Prices fall: only well-known ones stand here.
"""

from __future__ import annotations

FLOORS = {
    "gpt-3.5-turbo": (0.50, 1.50),
    "gpt-4-turbo": (10.00, 30.00),
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1-nano": (0.10, 0.40),
    "gpt-5": (1.25, 10.00),
    "gpt-5-mini": (0.25, 2.00),
    "o1": (15.00, 60.00),
    "o3-mini": (1.10, 4.40),
}
