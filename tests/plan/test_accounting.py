"""Every file in accounting/ is what a remote lists before something is paid for, and what of it is in doubt."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.job.capabilities import Shown
from runner.job.recorded import Accounted, ProjectRecord
from runner.plan import adoption
from tests.plan.making import HERE, NOW, batch
from tests.plan.test_adoption import seen

CASES = sorted((Path(__file__).parent / "accounting").glob("*.yaml"))
SLACK = timedelta(minutes=10)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    listed = [seen(name, about or {}) for name, about in case["listed"].items()]
    shown, expected = Shown(**case.get("shown", {})), case["expect"]
    accounted = _accounted(case)
    found = adoption.doubtful(listed, shown, case.get("known", ()), accounted, SLACK)
    assert list(found) == expected.get("doubtful", [])
    if found:
        return
    now = adoption.accounting(listed, shown, accounted, SLACK)
    assert now == Accounted(_at(expected["until"]), tuple(expected.get("nameless", ())))
    assert adoption.doubtful(listed, shown, case.get("known", ()), now, SLACK) == ()


def _accounted(case: dict[str, Any]) -> Accounted | None:
    project = ProjectRecord("p", NOW)
    if "accounted" in case:
        about = case["accounted"]
        one = Accounted(_at(about["minutes"]), tuple(about.get("nameless", ())))
        project = ProjectRecord("p", NOW, accounted={str(HERE): one})
    if "searched" in case:
        project = ProjectRecord("p", NOW, searched_at={str(HERE): _at(case["searched"])})
    sent = [batch(f"sent{n}", ["a"], intent_at=_at(minutes)).batch for n, minutes in enumerate(case.get("sent", ()))]
    return adoption.accounted_for(project, sent, HERE)


def _at(minutes: int) -> Any:
    return NOW + timedelta(minutes=minutes)
