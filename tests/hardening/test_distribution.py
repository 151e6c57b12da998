"""`runner` on the registry is a stranger's package: nothing we print or write may have anybody install it."""

from __future__ import annotations

import re
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.wheel import WheelBuilder

HERE = Path(__file__).parents[2]
OURS = "runner-batch"
LIBRARIES = {"keyring", "httpx"}  # what a hint of ours may have a user install beside it
OF_LIBRARIES = {"socks"}  # and their extras

_INSTALL = re.compile(
    r"\b(?:pip3? install|pipx (?:install|run)|uv (?:add|pip install|tool install|tool run)|uvx)\b"
    r"\s+\"?(?P<words>[^`\"\n]*)"
)
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*|\.)(?:\[(?P<extras>[^\]]*)\])?")


def _project() -> dict[str, Any]:
    return dict(tomllib.loads((HERE / "pyproject.toml").read_text())["project"])


def _texts() -> Iterator[Path]:
    """Whatever a user may read: the code's own words, the documents, the tutorial."""
    for folder, endings in (("runner", ("*.py",)), ("docs", ("*.md", "*.yaml", "*.yml")), ("specs", ("*.yaml",))):
        for ending in endings:
            yield from sorted((HERE / folder).rglob(ending))
    yield from sorted(HERE.glob("*.md"))


def _installed(text: str) -> Iterator[tuple[str, str]]:
    """Name and extras of all that the text has somebody install."""
    for command in _INSTALL.finditer(text):
        words = re.split(r"&&|;|\|", command["words"])[0].replace("'", " ").replace('"', " ").split()
        for word in words:
            if not word.startswith("-") and (found := _NAME.match(word.rstrip(",.)"))):
                yield found["name"], found["extras"] or ""
            elif word == ".":
                yield ".", ""


def test_the_distribution_has_a_name_of_its_own() -> None:
    project = _project()
    assert project["name"] == OURS
    assert project["scripts"] == {"runner": "runner.__main__:main"}


def test_extras_that_name_the_distribution_name_ours() -> None:
    for requirements in _project()["optional-dependencies"].values():
        names = {_NAME.match(one)["name"] for one in requirements if "[" in one}  # type: ignore[index]
        assert names <= {OURS}


def test_nothing_has_a_stranger_installed() -> None:
    extras = {*_project()["optional-dependencies"], *OF_LIBRARIES}
    faults = []
    for path in _texts():
        text = path.read_text()
        for name, wanted in _installed(text):
            if name not in {OURS, ".", *LIBRARIES}:
                faults.append(f"{path}: it has `{name}` installed")
            if not {extra.strip() for extra in wanted.split(",") if extra.strip()} <= extras:
                faults.append(f"{path}: `{name}` has no extra `{wanted}`")
        if re.search(r"(?<![\w-])runner\[(?!\w+\]\s*=)", text):
            faults.append(f"{path}: `runner[...]` is a stranger's package")
    assert not faults


def test_what_is_no_python_is_in_the_wheel(tmp_path: Path) -> None:
    """The page of a report, and whatever else the code reads beside itself."""
    built = next(WheelBuilder(str(HERE)).build(directory=str(tmp_path), versions=["standard"]))
    with zipfile.ZipFile(built) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("runner/")}
    beside = {path for path in (HERE / "runner").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert {path.name for path in beside} >= {"page.html", "page.css", "page.js"}
    assert {path.relative_to(HERE).as_posix() for path in beside} <= packed


def test_a_stranger_would_be_found() -> None:
    found = list(
        _installed("run `pip install 'runner[parquet]' -q`, then `uv add foo && true`, or pip install -e '.[test]'")
    )
    assert found == [("runner", "parquet"), ("foo", ""), (".", "test")]
