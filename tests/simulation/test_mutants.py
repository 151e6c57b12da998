"""A product that breaks the promise is found out: faults are put into a copy of it, and some histories played."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.running import Kind

HISTORIES = 60  # most are found in the first ten
ROOT = Path(__file__).parents[2]
PACKAGE = Path(str(runner.__file__)).parent
SAMPLE = (
    "nothing is searched before it is paid for",
    "a record before the index it speaks of",
    "what is in flight is asked again",
    "a receipt in another row",
    "what may be twice is not counted",
    "what was told to stop has ended",
)


def _kinds_of_faults(package: Path, kind: Kind, first: int = 0) -> set[str]:
    """What is found in some histories, up to the first that is blamed; with the product in this package."""
    played = subprocess.run(
        [sys.executable, "-m", "tests.simulation.mutants", package, kind.name, str(first), str(HISTORIES)],
        cwd=package.parent,
        env={**os.environ, "PYTHONPATH": f"{package.parent}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not played.returncode, played.stderr
    return {line.partition(":")[0] for line in played.stdout.splitlines()}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the product, with what was compiled of it."""
    return shutil.copytree(PACKAGE, tmp_path / "runner")


def _found_out(package: Path, mutant: Mutant) -> bool:
    mutant.put_into(package)
    return mutant.blame in _kinds_of_faults(package, mutant.kind, mutant.first)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_fault_is_found(name: str, package: Path) -> None:
    assert _found_out(package, MUTANTS[name])


@pytest.mark.sweep
@pytest.mark.parametrize("name", sorted(MUTANTS.keys() - set(SAMPLE)))
def test_every_other_fault_is_found(name: str, package: Path) -> None:
    assert _found_out(package, MUTANTS[name])


@pytest.mark.sweep
@pytest.mark.parametrize("kind", [Kind.BATCHES, Kind.RECORDINGS])
def test_none_is_found_where_none_was_put(kind: Kind, package: Path) -> None:
    assert not _kinds_of_faults(package, kind)


def test_a_place_that_is_not_there_any_more_is_no_mutant(package: Path) -> None:
    with pytest.raises(ValueError, match="has changed"):
        Mutant("plan/remaining.py", "no such line", "", "duplicate").put_into(package)
