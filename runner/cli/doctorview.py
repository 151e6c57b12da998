"""What `runner doctor` found, as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from runner.apply.doctor import Finding, Status, is_well

VERSION = 1


class DoctorView(msgspec.Struct, frozen=True):
    version: int
    findings: tuple[Finding, ...]
    is_well: bool  # nothing fails
    summary: str


def of_findings(findings: Sequence[Finding]) -> DoctorView:
    counts = Counter(one.status for one in findings)
    told = [f"{counts[Status.OK]:,} ok"]
    told += [f"{counts[Status.WARN]:,} to look at"] if counts[Status.WARN] else []
    told += [f"{counts[Status.FAIL]:,} to put right"] if counts[Status.FAIL] else []
    return DoctorView(VERSION, tuple(findings), is_well(findings), ", ".join(told))
