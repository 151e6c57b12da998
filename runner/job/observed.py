"""What the remote says about one batch, asked now, in words that are the same for every vendor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """Where a batch is. Everything that is not listed as ended is in flight, UNKNOWN included."""

    VALIDATING = "validating"
    RUNNING = "running"
    FINALIZING = "finalizing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"  # the whole batch was refused; see Observed.failure
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # a word we do not know: keep waiting, say so

    @property
    def has_ended(self) -> bool:
        return self in _ENDED


_ENDED = frozenset((Phase.COMPLETED, Phase.FAILED, Phase.EXPIRED, Phase.CANCELLED))


class FailureKind(StrEnum):
    """Why a whole batch failed, as far as it changes what to do."""

    BAD_INPUT = "bad_input"  # final: not asked again until its content changes
    QUOTA = "quota"  # the same upload again, later
    FILE_NOT_VISIBLE = "file_not_visible"  # the same upload again, soon
    UNANSWERED = "unanswered"  # a create that is safe to be sent again under its own name
    OUT_OF_MONEY = "out_of_money"  # the job stops; the next apply asks again, and no attempt is used up
    OTHER = "other"  # the remote's own trouble, as far as it is known: asked again, within attempts


class Failure(msgspec.Struct, frozen=True):
    kind: FailureKind
    code: str
    message: str  # the remote's own words, first 256 characters
    lines: int = 0  # errors it named; 0 where that is not known

    @property
    def is_put_off(self) -> bool:
        """The same upload may be taken later: nothing was refused for good."""
        return self.kind in (FailureKind.QUOTA, FailureKind.FILE_NOT_VISIBLE)


class Counts(msgspec.Struct, frozen=True):
    total: int = 0
    completed: int = 0
    failed: int = 0


class ResultFile(msgspec.Struct, frozen=True):
    """A file the remote offers: `ref` is what its download verb takes; `kind` is `output` or `error`."""

    ref: str
    kind: str
    size_bytes: int | None = None


class Origin(msgspec.Struct, frozen=True):
    """Whose answers these are. `host` of the embedded server is `embedded:<id of its data directory>`."""

    provider: str
    host: str
    account: str = ""

    def __str__(self) -> str:
        return f"{self.provider}@{self.host}" + (f"/{self.account}" if self.account else "")


class Observed(msgspec.Struct, frozen=True):
    """One batch as its remote shows it."""

    remote_id: str
    phase: Phase
    raw_status: str
    counts: Counts = Counts()
    created_at: datetime | None = None
    ended_at: datetime | None = None
    seen_at: datetime | None = None  # when it was looked at, by the remote's clock; None: it is only remembered
    expires_at: datetime | None = None
    window_hours: int | None = None
    endpoint: str = ""
    label: Mapping[str, str] = msgspec.field(default_factory=dict)  # what we wrote on it at creation
    input_ref: str = ""
    continued_from: str = ""  # remote id of the batch whose remainder this is
    result_files: tuple[ResultFile, ...] = ()
    results_are_final: bool = True  # False: completed, but the ids of its files are still to come
    is_overdue: bool = False  # it goes on though its window is over
    has_long_ended: bool = False  # so long ago, as we saw it, that what it has not named by now is not coming
    stall: str = ""  # why it seems to stand still, in words; empty while all is well
    failure: Failure | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def is_refusal(self) -> bool:
        """Refused as a whole: no request of it was asked."""
        return self.phase is Phase.FAILED and not self.result_files


class Found(msgspec.Struct, frozen=True):
    """What a search for one create shows: `ours` came of it, `candidates` may have and do not say.

    A candidate that shows something which tells whose it is, such as another input file, is still one: what a remote
    can be believed about is decided by who knows what it showed before (`plan/adoption.py`).
    """

    ours: tuple[Observed, ...] = ()
    candidates: tuple[Observed, ...] = ()

    @property
    def is_certain(self) -> bool:
        """Whether it is known what came of it: something, or nothing."""
        return bool(self.ours) or not self.candidates
