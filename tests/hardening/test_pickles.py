"""Nothing that lies in our folders is ever run, whatever it says it is."""

from __future__ import annotations

import ast
import os
import pickle
from pathlib import Path

import pytest

import runner
from runner.state.disk import DATABASE
from tests.hardening.conftest import OwnLab
from tests.hardening.test_damage import edited

RUNNERS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "codeop"}
# The source that is run there holds no word of a template or a row: tests/compile/test_direct.py. A process that
# compiles ranges is told its job by the one that started it, over a pipe that nobody else has: no file comes near it.
WRITTEN = ["direct.py: exec", "ranges.py: pickle", "rangeworker.py: pickle"]


class Bomb:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.flag),)


@pytest.mark.parametrize("table", ["Cache", "Settings"])
@pytest.mark.parametrize("column", ["value", "key"])
def test_a_planted_pickle_never_runs(lab: OwnLab, table: str, column: str) -> None:
    """In every row of the state, under every mode that diskcache knows, and in every other file of ours."""
    lab.apply()
    flag = lab.root / "it-ran"
    for protocol in (0, 2, 5):
        bomb = pickle.dumps(Bomb(flag), protocol=protocol)
        with edited(lab.root / ".runner/state" / DATABASE) as database:
            database.execute("DROP INDEX IF EXISTS Cache_key_raw")
            if table == "Cache":
                raw = 0 if column == "key" else 1
                database.execute(f"UPDATE Cache SET mode = 4, raw = ?, {column} = ?", (raw, bomb))
            elif column == "value":
                database.execute("UPDATE Settings SET value = ?", (bomb,))
            else:
                database.execute("INSERT INTO Settings VALUES (?, ?)", (bomb, bomb))
        for path in [*lab.root.glob(".runner/memo/**/*"), *lab.root.glob(".runner/objects/**/*")]:
            if path.is_file():
                path.write_bytes(bomb)
        for words in (("plan",), ("status",), ("state", "list"), ("apply", "specs/", "-y", "--no-wait")):
            lab.run(*words, code=None)
            assert not flag.exists(), words
    assert lab.mine() == 1
    pickle.loads(pickle.dumps(Bomb(flag)))
    assert flag.exists(), "the bomb is a bomb"


def test_none_of_our_modules_can_run_data() -> None:
    root = Path(runner.__file__).parent
    found = []
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                found.append(f"{path.name}: {node.func.id}")
            found += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in RUNNERS]
    assert sorted(found) == WRITTEN
