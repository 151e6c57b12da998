"""How a remote behaves, as data: what it is made like, and what goes wrong with it for a while."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Manners:
    """Times are seconds, rates are 0 to 1. The first part stays for a whole history, the second can be switched off."""

    # -- what it is made like
    labels: str = "kept"  # or `dropped`, or `replaced` by metadata of its own
    echoes_input: bool = True  # a batch shows its `input_file_id`
    list_status: int = 200  # of `GET /batches`; 405 where it has no list
    files_status: int = 200  # of `GET /files`
    deletes_files: bool = True
    clock: float = 0.0  # its clock, ahead of the true one
    shows_completed_at: bool = True
    shows_counts: bool = True
    tells_unasked: bool = True  # rows of an expired or cancelled batch have lines in the error file
    page: int = 100
    validating: float = 0.05
    row_seconds: float = 0.02
    # -- what goes wrong
    lost_replies: float = 0.0  # done, and the connection dropped
    lost_requests: float = 0.0  # not done, and the connection dropped
    storms: float = 0.0  # 429, 500, 503 and nothing done
    errors_after: float = 0.0  # 500 though it was done
    slow: float = 0.0  # seconds before an answer, at most
    late: float = 0.0  # of creates: the connection is dropped, and it is done later
    late_seconds: float = 0.3
    hidden: float = 0.0  # of batches: 404, on and off, after the create
    hidden_seconds: float = 0.6
    flaps: float = 0.0  # of polls of a running batch: it begins to answer 404 for a while
    list_lag: float = 0.0
    list_errors: float = 0.0  # 500 and 405 of lists
    cuts: float = 0.0  # of result files: short, doubled, or cut on the wire, the first few times
    unnamed_seconds: float = 0.0  # `completed` without its files
    error_file_late: float = 0.0  # seconds the error file is named after the output
    missing_content: float = 0.0  # seconds the contents answer 404 after the end
    expiries: float = 0.0
    quota: float = 0.0  # whole batches refused for the queue
    failures: float = 0.0  # whole batches refused with the remote's own trouble
    blind_to_file: float = 0.0  # whole batches refused since the upload is not visible yet
    row_errors: float = 0.0  # to be asked again
    row_refusals: float = 0.0  # final
    odd_status: float = 0.0  # of polls: a word nobody knows

    def calm(self) -> Manners:
        """The same remote on a good day."""
        usual = Manners()
        return replace(
            self, **{field.name: getattr(usual, field.name) for field in fields(self) if field.name in FAULTS}
        )

    def shown(self) -> str:
        """What is not as usual."""
        usual = asdict(Manners())
        return ", ".join(f"{name}={value}" for name, value in asdict(self).items() if value != usual[name])


_NAMES = [field.name for field in fields(Manners)]
FAULTS = frozenset(_NAMES[_NAMES.index("lost_replies") :])


def made_like(rng: random.Random) -> Manners:
    """A remote as it is for a whole history: most are good, some have one odd trait or two."""
    odd: dict[str, Any] = {}
    traits: list[tuple[str, Any]] = [
        ("labels", rng.choice(("dropped", "replaced"))),
        ("echoes_input", False),
        ("files_status", 405),
        ("deletes_files", False),
        ("clock", rng.choice((-90_000.0, -240.0, 240.0, 90_000.0))),
        ("shows_completed_at", False),
        ("shows_counts", False),
        ("tells_unasked", False),
        ("page", rng.choice((1, 2, 5))),
    ]
    for name, value in rng.sample(traits, rng.choice((0, 0, 0, 1, 1, 2))):
        odd[name] = value
    odd["validating"] = rng.choice((0.0, 0.05, 0.2))
    odd["row_seconds"] = rng.choice((0.0, 0.005, 0.03, 0.1))
    return Manners(**odd)


def troubled(rng: random.Random, made: Manners, settle: float) -> Manners:
    """The same remote on a bad day: two or three things go wrong. settle: seconds its list may lag behind a create."""
    faults: list[tuple[str, Any]] = [
        ("lost_replies", rng.choice((0.1, 0.3))),
        ("lost_requests", rng.choice((0.1, 0.3))),
        ("storms", rng.choice((0.05, 0.2))),
        ("errors_after", rng.choice((0.1, 0.3))),
        ("slow", rng.choice((0.05, 0.3))),
        ("late", rng.choice((0.2, 0.6))),
        ("hidden", rng.choice((0.3, 1.0))),
        ("flaps", rng.choice((0.02, 0.1))),
        ("list_lag", rng.choice((0.3, 0.8)) * settle),
        ("list_errors", rng.choice((0.1, 0.4))),
        ("cuts", 0.5),
        ("unnamed_seconds", rng.choice((0.2, 1.0))),
        ("error_file_late", rng.choice((0.2, 0.8))),
        ("missing_content", rng.choice((0.2, 1.0))),
        ("expiries", rng.choice((0.2, 0.6))),
        ("quota", rng.choice((0.2, 0.5))),
        ("failures", 0.2),
        ("blind_to_file", 0.2),
        ("row_errors", rng.choice((0.05, 0.3))),
        ("row_refusals", 0.05),
        ("odd_status", 0.1),
    ]
    drawn = dict(rng.sample(faults, rng.choice((1, 2, 2, 3, 4))))
    if not made.shows_counts:
        drawn.pop("cuts", None)  # nothing would tell a cut file from a whole one
    hidden = rng.choice((0.6, 0.6, 4.0))  # the last is long enough for the batch to be given up
    return replace(made, hidden_seconds=hidden, late_seconds=rng.choice((0.1, 0.3, 0.6, 1.5)) * settle, **drawn)
