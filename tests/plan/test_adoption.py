"""Every file in adoption/ is what a remote lists after an unanswered create, and what is made of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.job.capabilities import Search, Shown
from runner.job.observed import Found, Observed, Phase
from runner.plan import adoption
from tests.plan.making import NOW, batch

CASES = sorted((Path(__file__).parent / "adoption").glob("*.yaml"))
LABEL = {"runner_project": "p", "runner_set": "ours", "runner_attempt": "1"}
LABELS: dict[str, dict[str, str]] = {
    "ours": LABEL,
    "another attempt": {**LABEL, "runner_attempt": "2"},
    "another project": {**LABEL, "runner_project": "q"},
    "a stranger's": {"team": "search"},
    "none": {},
}


def seen(name: str, about: dict[str, Any]) -> Observed:
    minutes = about.get("minutes", 1)
    return Observed(
        name,
        Phase(about.get("phase", "running")),
        "",
        label=LABELS[about.get("label", "none")],
        input_ref=about.get("input", ""),
        created_at=None if minutes is None else NOW + timedelta(minutes=minutes),
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    ours = batch("ours", ["a"], upload_ref="file-1", refused=tuple(case.get("refused", ()))).batch
    listed = [seen(name, about or {}) for name, about in case["listed"].items()]
    mine = tuple(one for one in listed if adoption.is_of(ours, one))
    found = Found(mine, tuple(one for one in listed if one not in mine))
    shown = Shown(**case.get("shown", {}))
    told = adoption.sort(ours, found, shown, case.get("known", ()), NOW)
    assert [one.remote_id for one in told.ours] == case["expect"].get("ours", [])
    assert [one.remote_id for one in told.doubtful] == case["expect"].get("doubtful", [])


@pytest.mark.parametrize(
    ("declared", "shown", "search"),
    [
        (Search.BY_LABEL, Shown(), Search.BY_LABEL),
        (Search.BY_LABEL, Shown(label=True, upload=False), Search.BY_LABEL),
        (Search.BY_LABEL, Shown(label=False), Search.BY_UPLOAD),
        (Search.BY_LABEL, Shown(label=False, upload=False), Search.NONE),
        (Search.BY_LABEL, Shown(lists=False, label=True), Search.NONE),
        (Search.BY_UPLOAD, Shown(label=True), Search.BY_UPLOAD),
        (Search.BY_UPLOAD, Shown(upload=False), Search.NONE),
        (Search.BY_RESULTS, Shown(label=False, upload=False), Search.BY_RESULTS),
        (Search.BY_RESULTS, Shown(lists=False), Search.NONE),
        (Search.BY_NAME, Shown(lists=False, label=False, upload=False), Search.BY_NAME),
        (Search.NONE, Shown(lists=True, label=True, upload=True), Search.NONE),
    ],
)
def test_a_grade_is_checked(declared: Search, shown: Shown, search: Search) -> None:
    assert adoption.search_of(declared, shown) is search
    assert bool(adoption.note_of("lab", declared, shown)) == (search is not declared)


def test_a_list_is_believed_more_than_a_receipt() -> None:
    ours = batch("ours", ["a"], upload_ref="file-1").batch
    bare, whole = seen("r", {}), seen("r", {"label": "ours", "input": "file-1"})
    receipt = adoption.learned_of_receipt(Shown(), ours, bare)
    assert receipt == Shown(label=False, upload=False)
    listed = adoption.learned_of_list(receipt, [(ours, whole)])
    assert listed == Shown(lists=True, label=True, upload=True)
    assert adoption.learned_of_receipt(listed, ours, bare) == listed
    assert adoption.learned_of_list(listed, [(ours, whole), (ours, bare)]).label is False
    assert adoption.learned_of_list(listed, []) == listed
