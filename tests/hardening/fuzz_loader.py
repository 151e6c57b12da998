"""Specs through everything that reads them before a run: loaded, kept and read back, windows and templates checked."""

from __future__ import annotations

import contextlib
import os
import random
import zlib
from collections.abc import Sequence
from pathlib import Path

from runner.apply.desire import check_windows
from runner.compile.check import problems_of
from runner.errors import Problem, SpecError
from runner.job.project import Project
from runner.remotes.registry import card_of
from runner.spec import memo
from runner.spec.load import load
from runner.spec.problems import render
from tests.hardening.fuzz_grammar import spec
from tests.hardening.fuzz_target import Ending, Target, Wrong

HERE = Path(__file__).parents[2]
NEXT = b"\n#> next file\n"  # parts of an input: two spec files and one of a prompt
_FILES = ("specs/fuzzed.yaml", "specs/more.yml", "prompts/fuzzed.md")
_LONGEST_WORDS = 1 << 20
_KEPT_EVERY = 8  # sound inputs
_BESIDE = {
    "prompts/question.md": b"What is {{ a }}?\n",
    "prompts/latin.md": b"caf\xe9",
    "prompts/empty.md": b" \n",
    "prompts/deep.md": b"{{ a" + b".b" * 3000 + b" }}",
    "data/rows.csv": b"a,b\n1,2\n3,4\n",
    "data/rows.jsonl": b'{"a": 1}\n{"a": 2, "c": []}\n',
    "data/broken.jsonl": b'{"a": 1}\n{',
    "out/folder.jsonl/file": b"",
}


class Loader(Target):
    name = "loader"
    tokens = (
        b"&a ", b"*a", b"<<: *a", b"!!python/object:os.system ", b"!!binary ", b"!x ", b"? ", b": ", b"- ", b"| \n",
        b">-\n", b"{{ ", b" }}", b"{% for x in y %}", b"{#", b"#", b"%YAML 1.1\n", b"---\n", b"...\n", b"0x", b".nan",
        b"-.inf", b"~", b"true", b"NO", b"12:30", b"2026-01-01", b"/etc/passwd", b"C:\\", b"**/*", b"[[[", NEXT,
        b"sk-proj-" + b"a1B2" * 10, b"http://[::1", b"version: ", b"project: ", b"matrix: ", b"window: ",
        b"replicate: ", b"budget: ", b"price: ", b"params: ", b"jobs:\n", b"models:\n", b"datasets:\n", b"prompts:\n",
        b"providers:\n", b"output: ", b"audio: ", b"overrides: ", b"  ", b"    ", b"\n", b"\n  ", b"\n    ",
    )  # fmt: skip

    def __init__(self, root: Path) -> None:
        super().__init__(Path(os.path.realpath(root)))
        (self.root / "specs").mkdir()
        for name, data in _BESIDE.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(data)
        (self.root / "link").symlink_to("/etc")
        self._paths = [os.fspath(self.root / name) for name in _FILES]
        self._memo = self.root / "memo"

    def seeds(self) -> list[bytes]:
        """Every spec of the repository and of the tests."""
        places = ("specs", "docs/examples", "tests/spec/valid", "tests/spec/broken")
        return [path.read_bytes() for place in places for path in sorted((HERE / place).rglob("*.y*ml"))]

    @staticmethod
    def fresh(rng: random.Random) -> bytes:
        return spec(rng, NEXT)

    def run(self, data: bytes) -> Ending:
        self._write(data)
        try:
            project = load(["specs"], self.root)
            if zlib.crc32(data) % _KEPT_EVERY == 0:
                self._check_kept(project)
            problems = check_windows(project, lambda name: card_of(project.providers[name]))
            problems += problems_of(project)
            if problems:
                raise SpecError(problems)
        except SpecError as error:
            self._check(error.problems)
            return Ending("SpecError", tuple(problem.message for problem in error.problems))
        return Ending("valid with jobs" if project.jobs else "valid", project.warnings)

    def _write(self, data: bytes) -> None:
        parts = data.split(NEXT, len(_FILES) - 1)
        for path, part in zip(self._paths, parts, strict=False):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(descriptor, part)
            os.close(descriptor)
        for path in self._paths[len(parts) :]:
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()

    def _check_kept(self, project: Project) -> None:
        """What commands read the next time is what was read now, or nothing."""
        for file in self._memo.iterdir() if self._memo.exists() else ():
            file.unlink()
        for _ in range(2):
            again = memo.load(["specs"], self.root, self._memo, keeps=True)
            if again != project and repr(again) != repr(project):  # a NaN equals nothing
                raise Wrong("the project that was kept differs")

    def _check(self, problems: Sequence[Problem]) -> None:
        """Every problem has words and a place that is there."""
        if not problems:
            raise Wrong("no problem")
        lines: dict[str, int] = {}
        for problem in problems:
            mark = problem.mark
            if not problem.message.strip() or not problem.message.isprintable() or not problem.hint.isprintable():
                raise Wrong("no words, or words that steer a terminal")
            if mark.file not in lines:
                with contextlib.suppress(OSError, ValueError):
                    text = (self.root / mark.file).read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                    lines[mark.file] = text.count(b"\n") + 1
            if mark.file not in lines or not 0 <= mark.line <= lines[mark.file] or (mark.line and mark.column < 0):
                raise Wrong(f"no place: {mark}")
        words = render(problems, self.root)
        if not words.strip() or len(words) > _LONGEST_WORDS:
            raise Wrong(f"{len(words):,} characters of words")
        if not words.replace("\n", " ").isprintable():
            raise Wrong("words that steer a terminal")
