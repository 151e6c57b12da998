"""What answers cost: what they say that was used for them, at the price of a batch."""

from __future__ import annotations

import msgspec


class Used(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the answers of a batch say of themselves, in their `usage`; answers that were paid for and are none too."""

    answers: int = 0
    untold: int = 0  # among them: those that do not say
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0  # of sound
    cached_tokens: int = 0  # of the input, that the remote says it had cached; records of release 0.1.0 have none


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a batch is paid by, in USD, its discount taken off."""

    per_million: tuple[float, float] | None = None  # tokens of input, of output
    per_minute: float | None = None  # of sound

    @property
    def is_known(self) -> bool:
        return self.per_million is not None or self.per_minute is not None

    @property
    def is_nothing(self) -> bool:
        return self.is_known and not self.per_minute and not any(self.per_million or ())

    def of(self, used: Used) -> tuple[float, int]:
        """(what is known of the cost, of how many answers it is not)."""
        if self.is_nothing:
            return 0.0, 0
        if not self.is_known:
            return 0.0, used.answers
        if self.per_minute is not None:
            return used.seconds / 60 * self.per_minute, used.untold
        price_in, price_out = self.per_million or (0.0, 0.0)
        return (used.input_tokens * price_in + used.output_tokens * price_out) / 1e6, used.untold


NOTHING = Price((0.0, 0.0), 0.0)
