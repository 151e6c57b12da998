"""`runner export --to hf-folder`: what `datasets` loads, and what in the folder is somebody else's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runner.reports import card
from tests.journeys.scorelab import ScoreLab, score_lab
from tests.journeys.test_export import COLUMNS, settled

TO = ("export", "--to", "hf-folder")
FILES = {"answers:prompt=short": "answers.prompt=short", "answers:prompt=taught": "answers.prompt=taught"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScoreLab]:
    with score_lab(tmp_path_factory.mktemp("hf") / "project") as lab:
        yield settled(lab, "jsonl")


def head(folder: Path) -> dict[str, object]:
    """As `datasets` reads it: the YAML between the first two lines that are `---`."""
    lines = (folder / "README.md").read_text().splitlines()
    assert lines[0] == "---"
    return dict(yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)])))


def test_the_card_names_a_table_for_each_job(lab: ScoreLab) -> None:
    done = lab.run(*TO, "out/hf", LAB_KEY="")
    assert done.stdout == "out/hf  3 jobs, 12 rows\n"
    assert "later has no results yet" in done.stderr
    folder = lab.root / "out/hf"
    found = head(folder)
    assert found["pretty_name"] == "lab"
    configs = {one["config_name"]: one["data_files"] for one in found["configs"]}  # type: ignore[attr-defined]
    assert list(configs) == [*FILES.values(), "bare"]
    for name, files in configs.items():
        assert files == [{"split": "train", "path": f"data/{name}.parquet"}]
    for address, name in FILES.items():
        table = pd.read_parquet(folder / f"data/{name}.parquet")
        assert list(table.columns) == COLUMNS
        assert set(table["job"]) == {address} and list(table["custom_id"]) == ["r0", "r1", "r2", "r3"]
        assert list(table["said_status"]) == ["right", "wrong", "unanswered", "right"]
    assert list(pd.read_parquet(folder / "data/bare.parquet").columns) == [
        name for name in COLUMNS if name not in ("prompt",) and not name.startswith(("said", "check_"))
    ]
    text = (folder / "README.md").read_text()
    assert "| `answers.prompt=short` | `answers:prompt=short` | 4 | 3 | `said`, `answer` |" in text
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "earlier export" not in lab.run(*TO, "out/hf").stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_some_jobs(lab: ScoreLab) -> None:
    lab.run(*TO, "out/some")
    done = lab.run(*TO, "answers:prompt=short", "out/some")
    assert done.stdout == "out/some  1 job, 4 rows\n"
    assert [one["config_name"] for one in head(lab.root / "out/some")["configs"]] == ["answers.prompt=short"]  # type: ignore[attr-defined]
    assert "data/bare.parquet is of an earlier export, and the card does not name it" in done.stderr
    assert (lab.root / "out/some/data/bare.parquet").exists()


def stranger(folder: Path, what: str) -> None:
    """Something that somebody else put into the folder."""
    table = folder / "data/answers.prompt=short.parquet"
    match what:
        case "a card":
            (folder / "README.md").write_text("# mine\n")
        case "a card with other files":
            path = folder / "README.md"
            path.write_text(path.read_text().replace("data/bare", "data/mine"))
        case "a card that is a link":
            (folder / "README.md").rename(folder / "there.md")
            (folder / "README.md").symlink_to("there.md")
        case "a table":
            pd.DataFrame({"a": [1]}).to_parquet(table)
        case "no table":
            table.write_text("mine")
        case "a link to nowhere":
            table.unlink()
            table.symlink_to("/nowhere/at-all")
        case "a folder that is a link":
            (folder / "data").rename(folder / "elsewhere")
            (folder / "data").symlink_to("elsewhere")
        case "a file for the folder":
            shutil.rmtree(folder / "data")
            (folder / "data").write_text("mine")


STRANGERS = [
    "a card",
    "a card with other files",
    "a card that is a link",
    "a table",
    "no table",
    "a link to nowhere",
    "a folder that is a link",
    "a file for the folder",
]


@pytest.mark.parametrize("what", STRANGERS)
def test_what_is_not_ours_is_left_and_nothing_is_written(lab: ScoreLab, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "hf"
    lab.run(*TO, str(folder))
    stranger(folder, what)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = lab.run(*TO, str(folder), code=64)
    assert "is there already" in done.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_card_that_somebody_wrote_into_stays(lab: ScoreLab, tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    lab.run(*TO, str(folder))
    path = folder / "README.md"
    text = path.read_text().replace("pretty_name: ", "license: cc-by-4.0\npretty_name: ").replace("# lab", "# My own")
    path.write_text(text)
    (folder / "notes.txt").write_text("mine")
    table = folder / "data/bare.parquet"
    table.unlink()
    done = lab.run(*TO, str(folder))
    assert "README.md was edited, and stays as it is" in done.stderr
    assert path.read_text() == text and table.exists()


def test_nothing_to_write(lab: ScoreLab, tmp_path: Path) -> None:
    assert "no job has results yet" in lab.run(*TO, "later", str(tmp_path / "hf"), code=1).stderr
    assert not (tmp_path / "hf").exists()


@given(st.lists(st.text(min_size=1, max_size=300), max_size=5))
def test_names_are_taken_by_globs_and_file_systems_as_they_are(addresses: list[str]) -> None:
    taken: set[str] = set()
    names = [card.named(address, taken) for address in addresses]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert not set(name) & set('<>:/\\|?*[]{}"') and name.isascii() and not name.startswith(".")
        assert 0 < len(name.encode()) < 200
