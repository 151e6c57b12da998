"""Result files come damaged, in every way we know: no row gets another's answer, and none is lost or asked for nothing.

Each fault strikes one file of the first batch of a job of its own; the jobs of one style are played together. What was
handed out is read again by a simple reader (`reading`), and the product has to have recorded just that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.hardening.conftest import sampled
from tests.hardening.handing import (
    DOWNLOADS,
    FAILING,
    ROWS,
    STYLES,
    Case,
    EveryOutput,
    SpoiledLab,
    cases_of,
    project_of,
    remote_in,
    spoiled,
)
from tests.hardening.reading import Reading
from tests.hardening.spoiling import ERROR, FAULTS, OUTPUT, answered, failed, id_of, whole
from tests.journeys.lab import Server, until
from tests.proxy.proxy import Exchange, Proxy, Reply

PASSES = 4  # send, take what came and send the rest, and so on until every attempt is used up
SAMPLE = {
    OUTPUT: """rows missing; file gone; rows doubled; other answers; foreign ids; id last of another; half last line;
        half line and no end; CRLF; BOM; NUL in text; bad UTF-8; raw surrogates; escaped surrogates; surrogate in an id;
        huge integer in a repaired line; 1e400 in a repaired line; NaN; nested inside; error before success; empty;
        zipped; page; not objects; id a number; requests; body null; content null; status text; status 500""",
    ERROR: "rows missing; file gone; half last line; bad UTF-8; over both files; success before error; page",
}


def is_sampled(case: Case) -> bool:
    return case.fault.name in [name.strip() for name in SAMPLE[case.kind].split(";")]


CASES = cases_of(FAULTS.values())


@dataclass
class Played:
    """What became of a project: once with the faults, and then in calm."""

    lab: SpoiledLab
    said: str
    before: dict[str, list[dict[str, Any]]]
    asked_before: Counter[str]
    after: dict[str, list[dict[str, Any]]]
    asked: Counter[str]
    told: str
    kept: set[bytes]

    def warnings(self, case: Case) -> str:
        return "\n".join(line for line in self.said.splitlines() if f"{case.job}: " in line)


def results(lab: SpoiledLab) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: lab.results(f"results/{path.name}") for path in lab.root.glob("results/*.jsonl")}


def play(lab: SpoiledLab) -> Played:
    said = ""
    for _ in range(PASSES):
        said += lab.apply("--no-wait", code=None).stderr
        until(lab.is_quiet)
    before, asked_before, kept = results(lab), lab.asked(), lab.kept()
    lab.proxy.disarm()
    last = lab.apply("--wait", "20s", code=None)
    return Played(lab, said, before, asked_before, results(lab), lab.asked(), last.stdout, kept)


@pytest.fixture(scope="module", params=STYLES)
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stage(style: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], Played]]:
    """Plays the sample, or everything, when first asked."""
    played: dict[bool, Played] = {}
    folder = tmp_path_factory.mktemp(style)

    def of(is_all: bool) -> Played:
        if is_all not in played:
            cases = [case for case in CASES if is_all or is_sampled(case)]
            with spoiled(folder / str(is_all), style, cases) as lab:
                played[is_all] = play(lab)
        return played[is_all]

    yield of


@pytest.mark.parametrize("case", sampled(CASES, *filter(is_sampled, CASES)), ids=str)
def test_a_damaged_file_costs_only_what_cannot_be_read(case: Case, stage: Callable[[bool], Played]) -> None:
    check(stage(not is_sampled(case)), case)


def check(played: Played, case: Case) -> None:
    hands = played.lab.hands
    ids = {wire for wire in played.asked if wire[:-23].rpartition("-")[0] == case.job}
    reading = hands.reading(case.job, ids)
    rows = {row["custom_id"]: row for row in played.after[case.job]}
    assert list(rows) == [f"{case.job}-row{n}" for n in range(ROWS)]
    by_wire = {wire: rows[wire[:-23]] for wire in ids}
    counts = Counter("error" if row["error"] else "ok" for row in rows.values())
    assert f"{case.job}  {counts['ok']} ok, {counts['error']} error of {ROWS}" in " ".join(
        line for line in played.told.splitlines() if line.startswith(f"{case.job} ")
    )
    is_late = waits(case, hands.handed[case.job, case.kind], reading)
    once = {wire for wire in ids if played.asked[wire] == 1}
    if is_late:
        assert case.job not in played.before
        assert "cannot be fetched now" in played.warnings(case)
        assert once == ids
        reading = Reading()
    else:
        assert once == {*reading.ok, *reading.error}
        assert hands.handed[case.job, case.kind] in played.kept
        assert case.fault.says in played.warnings(case)
        assert all(place in played.warnings(case) for place in reading.unreadable[:5])
    for wire, row in by_wire.items():
        if wire in reading.ok:
            assert (row["answer"], row["error"]) == (reading.ok[wire], None)
        elif wire in reading.error or row["custom_id"].endswith(FAILING):
            assert row["error"]
            assert row["answer"] is None
        else:
            assert row["error"] is None
            assert row["answer"].endswith(f" {row['row']['word']}")


def waits(case: Case, handed: bytes | None, reading: Reading) -> bool:
    """Whether the files lack rows that the remote counts as finished: then they are fetched again, and no row is asked
    again."""
    return handed is None or not reading.ok or len({*reading.ok, *reading.error, *reading.again}) < ROWS


# -- files that stay away, and files of a chain

HALF_AN_HOUR = 2000  # seconds, and more: what answers 404 for so long is gone


def later(seconds: int) -> Callable[[Exchange], bool]:
    """What the remote shows, as if so many seconds had passed there: its `Date` tells."""

    def strike(exchange: Exchange) -> bool:
        reply = exchange.forward()
        then = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        headers = (*((name, value) for name, value in reply.headers if name.lower() != "date"), ("date", then))
        exchange.send(Reply(reply.status, reply.reason, headers, reply.body).sized())
        return True

    return strike


LOOKS = {"openai": r"^GET /v1/batches", "fireworks": r"^GET /v1/accounts/[^/]+/batchInferenceJobs"}


@dataclass
class Line:
    """One project with one job, whose result files one fault strikes."""

    lab: SpoiledLab
    job: str
    ids: list[str]  # on the wire, in the order of the rows
    began: int  # what the server had answered before

    def applied(self, *words: str, code: int | None = 0) -> str:
        done = self.lab.apply(*words, code=code)
        return done.stdout + done.stderr

    def rows(self) -> list[dict[str, Any]]:
        return self.lab.results(f"results/{self.job}.jsonl")

    def answered_rows(self) -> int:
        """How many rows the server has answered since this line began, paid for one by one."""
        return int(self.lab.server.get("/_log")["rows_asked"]) - self.began

    def times_asked(self) -> list[int]:
        asked = self.lab.asked()
        return [asked[wire] for wire in self.ids]


@pytest.fixture
def played(style: str, tmp_path: Path, remote: tuple[Server, Proxy]) -> Iterator[Callable[..., Line]]:
    """Sends the job of one case and waits until its batch has ended; nothing is collected yet."""
    server, proxy = remote

    def of(case: Case, *, failing: bool = True, **faults: Any) -> Line:
        began = int(server.get("/_log")["rows_asked"])
        lab = project_of(tmp_path / "project", server, proxy, style, [case], **faults)
        if not failing:
            server.fault(row_error=None)
        lab.apply("--no-wait", code=3)
        until(lab.is_quiet)
        (ids,) = lab.batches()
        return Line(lab, case.job, sorted(ids, key=lambda wire: int(wire[:-23].rpartition("row")[2])), began)

    yield of
    proxy.disarm()
    server.calm()


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Proxy]]:
    with remote_in(tmp_path_factory.mktemp("remote")) as (server, proxy):
        yield server, proxy


@pytest.mark.parametrize("name", sampled(["empty", "page", "zipped", "pretty", "other file"], "empty", "other file"))
def test_what_comes_in_place_of_the_answers_is_no_answer(style: str, name: str, played: Callable[..., Line]) -> None:
    """It is fetched again; when that has not helped for long, a person decides: the rows were paid for."""
    line = played(Case(FAULTS[name], OUTPUT))
    assert "cannot be fetched now" in line.applied("--no-wait", code=3)
    line.applied("--no-wait", code=3)
    assert line.times_asked() == [1] * ROWS
    line.lab.proxy.arm(LOOKS[style], later(HALF_AN_HOUR), times=None)
    assert "asked again by `runner retry" in line.applied(code=5)
    assert line.times_asked() == [1] * ROWS


@pytest.mark.parametrize("kind", [OUTPUT, ERROR])
def test_a_file_that_is_gone_takes_no_other_with_it(style: str, kind: str, played: Callable[..., Line]) -> None:
    """What the other file says is recorded; about the rest a person decides, unless it is there again by then."""
    line = played(Case(FAULTS["file gone"], kind))
    assert "cannot be fetched now" in line.applied("--no-wait", code=3)
    line.lab.proxy.arm(LOOKS[style], later(HALF_AN_HOUR), times=None)
    said = line.applied(code=5)
    assert f"{kind} is gone" in said
    assert "runner retry" in said
    failed = [wire for wire in line.ids if wire[:-23].endswith(FAILING)]
    kept = [wire for wire in line.ids if (wire in failed) == (kind == OUTPUT)]
    rows = {row["custom_id"]: row for row in line.rows()}
    for wire in line.ids:
        row = rows[wire[:-23]]
        if wire in kept and wire not in failed:
            assert row["answer"].endswith(f" {row['row']['word']}")
        else:
            assert (row["error"]["code"] == "needs_decision") == (wire not in kept)
    line.applied(code=5)
    assert line.times_asked() == [1] * ROWS
    line.lab.proxy.disarm()
    line.lab.run("retry", line.job)
    line.applied(code=4)
    answered_once = [wire for wire in line.ids if wire not in failed]
    assert [wire for wire, times in zip(line.ids, line.times_asked(), strict=True) if times == 1] == answered_once
    assert all(bool(row["answer"]) != row["custom_id"].endswith(FAILING) for row in line.rows())


def overlapping(lines: Sequence[bytes], others: Sequence[bytes]) -> bytes:
    """The rows of a chain's second link, between other answers for the rows of its first."""
    strange = [answered(line, "echo: of the wrong link") for line in FIRST_LINK]
    return whole([*strange[:3], *lines, *strange, *map(failed, FIRST_LINK)])


FIRST_LINK: list[bytes] = []


def test_a_later_link_changes_nothing_that_an_earlier_one_answered(style: str, played: Callable[..., Line]) -> None:
    """The batch that goes on where one expired answers rows of the first again, in other words, and fails them."""
    line = played(Case(FAULTS["reordered"], OUTPUT), failing=False, expire_at=0.5)
    FIRST_LINK.clear()

    def first(lines: Sequence[bytes], others: Sequence[bytes]) -> bytes:
        FIRST_LINK[:] = FIRST_LINK or list(lines)
        return whole(lines) if list(lines) == FIRST_LINK else overlapping(lines, others)

    line.lab.proxy.disarm()
    line.lab.proxy.arm(DOWNLOADS[style], EveryOutput(first).strike, times=None)
    line.lab.server.fault(expire_at=None)
    said = line.applied()
    assert 0 < len(FIRST_LINK) < ROWS
    assert f"{3 + 2 * len(FIRST_LINK)} lines for requests that are not in it" in said
    mine = {id_of(one)[:-23] for one in FIRST_LINK}
    rows = line.rows()
    assert all(row["answer"].endswith(f" {row['row']['word']}") and row["error"] is None for row in rows)
    batches = {row["custom_id"]: row["batch"] for row in rows}
    assert len({batches[name] for name in mine}) == 1
    assert len(set(batches.values())) == 2
    assert line.answered_rows() == ROWS


def test_rows_that_a_link_lost_are_waited_for_and_not_asked_again(style: str, played: Callable[..., Line]) -> None:
    """The remote counts an answer that its file lacks: it was paid for, so it is fetched again until it is there."""
    line = played(Case(FAULTS["rows missing"], OUTPUT), failing=False, expire_at=0.5)
    line.lab.server.fault(expire_at=None)
    line.applied("--no-wait", code=3)
    before = line.answered_rows()
    assert before < ROWS
    line.applied("--no-wait", code=3)
    assert line.answered_rows() == before
    line.lab.proxy.disarm()
    line.applied()
    rows = line.rows()
    assert all(row["answer"].endswith(f" {row['row']['word']}") and row["error"] is None for row in rows)
    assert line.answered_rows() == ROWS
