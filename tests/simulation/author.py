"""Who writes the specs, and changes them between two runs."""

from __future__ import annotations

from tests.simulation.rows import JobSpec, Row
from tests.simulation.world import Words, World

MOST_JOBS = 3
_EDITS = (
    "add",
    "add",
    "remove",
    "edit",
    "edit",
    "rename",
    "window",
    "output",
    "all",
    "job",
    "drop",
    "order",
    "back",
    "back",
)
_OF_ANSWERS = ("rename", "window", "output", "drop")  # edits of a job whose rows are answers


class Author:
    """The specs as they are now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng
        self._rows = 0
        self._jobs = 0
        self.specs: list[JobSpec] = []
        self._left: list[Row] = []  # rows that were there once

    def begin(self) -> None:
        """The specs as they are first."""
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            self.specs.append(self._new_job())

    def edit(self) -> None:
        """Change something."""
        rng = self._rng
        spec = rng.choice(self.specs)
        what = rng.choice(_OF_ANSWERS if spec.after else _EDITS)
        match what:
            case "add":
                spec.rows.insert(rng.randrange(len(spec.rows) + 1), self._new_row())
            case "remove" if len(spec.rows) > 1:
                self._left.append(spec.rows.pop(rng.randrange(len(spec.rows))))
            case "edit":
                at = rng.randrange(len(spec.rows))
                self._left.append(spec.rows[at])
                spec.rows[at] = spec.rows[at][0], f"{spec.rows[at][1]}!"
            case "rename":
                self._jobs += 1
                before, spec.address = spec.address, f"{rng.choice('klm')}{self._jobs}"
                for other in self.specs:
                    other.needs = tuple(spec.address if name == before else name for name in other.needs)
                    other.after = tuple(spec.address if name == before else name for name in other.after)
            case "window":
                spec.window_hours = 72 - spec.window_hours
            case "output":
                self._jobs += 1
                spec.output = self._output()
            case "back" if self._left and not spec.after:
                row = self._left.pop(rng.randrange(len(self._left)))
                spec.rows = [*(one for one in spec.rows if one[0] != row[0]), row]
            case "all":
                self._left += spec.rows
                spec.rows = [(name, f"{text}?") for name, text in spec.rows]
            case "job" if len(self.specs) < MOST_JOBS:
                self.specs.append(self._new_job())
            case "drop" if spec.after or sum(not one.after for one in self.specs) > 1:
                self.specs.remove(spec)
                for other in self.specs:
                    other.needs = tuple(name for name in other.needs if name != spec.address)
                self._left += spec.rows
            case "order":
                rng.shuffle(spec.rows)
        self._world.note("user", f"{what}:", self.words())

    def words(self) -> Words:
        """The specs as they are now, for the log."""
        now = [(spec.address, spec.row_keys()) for spec in self.specs]
        return Words(
            lambda: "; ".join(f"{address}: {','.join(key.hex()[:4] for key in keys)}" for address, keys in now)
        )

    def _new_row(self) -> Row:
        self._rows += 1
        return f"row{self._rows}", f"text {self._rows}.0"

    def _new_job(self) -> JobSpec:
        self._jobs += 1
        rows = [self._new_row() for _ in range(self._rng.choice((1, 2, 3, 5, 9)))]
        if self._jobs > 1 and self._rng.random() < 0.3:
            rows += [row for row in self._rng.choice(self.specs).rows[:2] if not row[1].startswith("about ")]
        if self._rng.random() < 0.1:
            rows.append((f"equal{self._rows}", rows[0][1]))
        return self._declared(f"{self._rng.choice('klm')}{self._jobs}", rows)

    def _declared(self, address: str, rows: list[Row]) -> JobSpec:
        # only of jobs that were there before: no circles
        chance = self._world.of_needs
        needs = (chance.choice(self.specs).address,) if self.specs and chance.random() < 0.2 else ()
        return JobSpec(address, rows, self._output(), needs=needs)

    def _output(self) -> str:
        return f"results/{self._jobs}.jsonl"
