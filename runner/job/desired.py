"""One job as the specs want it: what to ask, packed, and everything the planner may weigh."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import msgspec

from runner.errors import Mark
from runner.job.capabilities import Capabilities
from runner.job.cost import NOTHING, Price
from runner.job.infile import Run
from runner.job.observed import Origin
from runner.job.packed import keys_at, keys_of, sorted_run
from runner.job.project import Evals, Stragglers


class Ahead(msgspec.Struct, frozen=True):
    """One request that is not known yet, since the answer it asks about is not there: its input tokens, estimated."""

    tokens: float = 0.0  # without the text of that answer
    most_tokens: float | None = None  # with the longest one; None: not known
    rows_each: int = 1  # requests for each row that is not answered yet
    most_rows: int | None = None  # that the job may come to, known ones among them; None: no bound


class Desired(msgspec.Struct, frozen=True):
    """One job, or one cell of a matrix. `keys` holds 16 bytes a row and `sizes` the bytes of its request line."""

    address: str
    declared_at: Mark
    provider: str
    origin: Origin
    card: Capabilities
    model: str
    endpoint: str
    window_hours: int
    output: str
    keys: Run
    sizes: array[int]
    tokens: int  # estimated input tokens of all rows, without those of `untold`
    params: Mapping[str, object] = {}  # of the model, as they stand in every row
    options: Mapping[str, object] = {}  # of the model, for a batch as a whole
    system_prompt: str = ""  # the one every row starts with, where it is the same in all of them
    untold: int = 0  # files in its requests of which nobody knows how many tokens they are
    max_attempts: int = 3
    on_unknown: str = ""  # hold or resubmit: what a call of unknown outcome means where nobody can be asked
    stragglers: Stragglers | None = None  # which of its batches are stopped, since they take too long
    online: Capabilities | None = (
        None  # of its provider's online side, where such a batch leaves rows to be asked there
    )
    seconds: array[float] | None = None  # "f": of each recording; negative where it is not known
    usd_per_minute: float | None = None
    max_output_tokens: int | None = None  # of one answer, where the model's parameters say so
    usd_per_million: tuple[float, float] | None = None  # input, output
    budget_usd: float | None = None
    protect: bool = False
    needs: tuple[str, ...] = ()  # names of the jobs all cells of which come first, and have to be as good as expected
    after: tuple[str, ...] = ()  # addresses of the jobs whose answers it asks about
    ahead: Ahead = Ahead()
    evals: Evals = Evals()  # what its answers are held to
    is_strict: bool = False  # an answer that is none (cut, refused, ...) is an error
    retries_invalid: bool = False  # such answers are asked for again, until the attempts of a request are used up
    in_the_way: str = ""  # what stands where the output goes and is not ours, with the way out
    bad: int = 0  # rows that cannot become requests, left out as the specs allow: errors that nothing is sent for
    barred: str = ""  # why nothing may be sent to the provider from this machine; empty where all may
    unbar: tuple[str, ...] = ()  # the exact commands that allow it
    distinct: Run = b""  # the sorted, distinct keys, where they are known: see `distinct_of`

    @property
    def rows(self) -> int:
        return len(self.sizes)

    def at(self, ordinals: Sequence[int]) -> Desired:
        """The same job, as it wants these rows alone."""
        keys = keys_at(self.keys, ordinals)
        sizes = array("I", [self.sizes[ordinal] for ordinal in ordinals])
        return msgspec.structs.replace(self, keys=keys, sizes=sizes, distinct=keys_of(keys))

    @property
    def asked_online(self) -> Desired:
        """The same job, as it asks the rows that a batch which took too long has left."""
        return self if self.online is None else msgspec.structs.replace(self, card=self.online)

    @property
    def price(self) -> Price:
        """What a batch of it is paid by."""
        if self.card.is_free:
            return NOTHING
        share = self.card.price_factor
        per_million = self.usd_per_million and (self.usd_per_million[0] * share, self.usd_per_million[1] * share)
        return Price(per_million, None if self.usd_per_minute is None else self.usd_per_minute * share)


def distinct_of(job: Desired) -> Run:
    """The sorted, distinct keys of a job's rows."""
    return job.distinct or sorted_run(job.keys)
