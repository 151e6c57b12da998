"""Every column that can be in a file of results is described, with its type."""

from __future__ import annotations

import re

from runner.job.finish import FLAWS
from runner.job.outcomes import Unsettled
from runner.results import columns, folder, splice
from runner.results.kinds import TEXT
from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/results.md").read_text()
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|", re.M)


def test_every_column_is_described() -> None:
    about = columns.About(job="job", model="model")
    there = [*columns.ours(about, is_of_recordings=False).values()]
    there += [*columns.ours(about, is_of_recordings=True).values()]
    kinds = {column.name: column.kind.of.value for column in there}
    kinds |= {name: TEXT.of.value for name in folder.COLUMNS if name not in kinds}
    described = dict(_ROW.findall(PAGE))
    assert described == kinds


def test_every_word_of_ours_is_named() -> None:
    statuses = [splice.OK, splice.ERROR, "missing", *(one.word for one in Unsettled)]
    codes = [code for code, _ in splice._SILENCE.values()]
    assert [word for word in (*statuses, *codes, *FLAWS) if f"`{word}`" not in PAGE] == []
