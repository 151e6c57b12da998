"""The boundaries that the kill sweeps know, per composition: `python -m tests.journeys.boundaries [NAME...]`.

Each composition runs once without being killed. What it must come to stands in `MUST`, so that a boundary which is
lost, because the product takes another way, is noticed.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.journeys.audio.lab import AudioLab
from tests.journeys.fireworks.lab import Account, FireLab
from tests.journeys.lab import Lab, Server, serving
from tests.journeys.rounds import AudioRig, ChainRig, EmbeddedLab, FireworksRig, OpenAIRig, PairsRig, PruneRig, Rig

CALLS = ("--around", "calls")
ALONE = (*CALLS, "--parallelism", "1")

STORE = ("write project", "write batch", "write batch,project", "write job")
FILES = ("keys", "index", "0.jsonl", "set")
COMMITS = ("before commit {}", "torn commit {}", "after commit {}")


def _sides(*effects: str) -> tuple[str, ...]:
    return tuple(f"{side} {effect}" for effect in effects for side in ("before", "after"))


def _whole(*files: str) -> tuple[str, ...]:
    return tuple(f"{side} {file}" for file in files for side in ("open", "rename", "renamed"))


def _sent(*calls: str, streamed: bool = False) -> tuple[str, ...]:
    sides = ("before", "amid", "sent", "after") if streamed else ("before", "sent", "after")
    return tuple(f"{side} {call}" for call in calls for side in sides)


def _commits(*steps: str) -> tuple[str, ...]:
    return tuple(side.format(step) for step in steps for side in COMMITS)


BATCH = (*_sides(*STORE), *_whole(*FILES, "answers.jsonl"))
VERBS = (*BATCH, *_sides("upload", "submit", "download"))
WAVE = (
    *_sides(*STORE),
    *_whole("keys", "index", "set", "journal"),
    *_commits("INTENT", "RECEIPT", "ANSWERED"),
    "torn answer",
    "answer without entry",
    "open 0.jsonl",
    *_sent("POST transcriptions", streamed=True),
)
TABLE = (*WAVE, *_whole("calls.jsonl"))
FOLDER = (
    *WAVE,
    *_whole("results.jsonl"),
    "open transcript",
    "rename transcript",
    "open results.written",
    "remove results.written",
)
OPENAI_CALLS = (
    *BATCH,
    *_sent("POST files", streamed=True),
    *_sent("POST batches"),
    *_sides("GET content"),
)
FIREWORKS_CALLS = (
    *BATCH,
    *_sent("POST datasets", "POST batchInferenceJobs"),
    *_sent("POST upload", streamed=True),
    *_sides("GET BIJOutputSet.jsonl", "GET error-data"),
)
RUNNING = (*_sides("write project", "write batch,project", "write batch"), *_whole("keys"))
Make = Callable[[Path, Server], Rig]


def _openai(words: tuple[str, ...], expires: bool = False, stops: bool = False, packs: bool = False) -> Make:
    def make(root: Path, server: Server) -> Rig:
        lab = Lab(root, server)
        lab.rows({f"r{n}": f"{n} " + "long " * 600 for n in range(10)} if packs else 10)
        return OpenAIRig(lab, words, expires=expires, stops=stops, packs=packs)

    return make


def _prune(words: tuple[str, ...]) -> Make:
    def make(root: Path, server: Server) -> Rig:
        lab = Lab(root, server)
        lab.rows(10)
        return PruneRig(lab, (*words, "prune"))

    return make


def _chain(root: Path, server: Server) -> Rig:
    lab = Lab(root, server)
    lab.rows(10)
    return ChainRig(lab)


def _pairs(root: Path, server: Server) -> Rig:
    lab = Lab(root, server)
    lab.rows(10)
    return PairsRig(lab)


def _fireworks(words: tuple[str, ...], stops: bool = False) -> Make:
    def make(root: Path, server: Server) -> Rig:
        lab = FireLab(root, server, Account(server, "acme"))
        lab.rows(10)
        return FireworksRig(lab, words, stops=stops)

    return make


def _audio(words: tuple[str, ...], calls: int = 1, resubmits: bool = True, output: str = "results/calls.jsonl") -> Make:
    def make(root: Path, server: Server) -> Rig:
        return AudioRig(AudioLab(root, server), words, calls, resubmits, output=output, recordings=2 * calls)

    return make


def _embedded(root: Path, server: Server) -> Rig:
    """The server it gets is left alone: each command starts its own."""
    home = Server("", root.parent / "home", server.process)
    return AudioRig(EmbeddedLab(root, home), ALONE, 1, provider="embedded")


MUST: dict[str, tuple[str, ...]] = {
    "openai-verbs": VERBS,
    "openai-verbs-expired": VERBS,
    "openai-calls": OPENAI_CALLS,
    "openai-packed": (*VERBS, *_whole("0.jsonl.zst"), "remove 0.jsonl"),
    "openai-running": (*RUNNING, *_sent("POST files", streamed=True), *_sent("POST batches")),
    "openai-chain": (*VERBS, *_whole("grade.jsonl", "grade.helpful.jsonl", "grade.scores.jsonl")),
    "openai-pairs": (*VERBS, *_whole("other.jsonl", "duel.jsonl", "duel.scores.jsonl")),
    "prune-verbs": _sides("write project", "write batch,project", "delete"),
    "prune-calls": _sides("write project", "write batch,project", "DELETE files"),
    "fireworks-verbs": VERBS,
    "fireworks-calls": FIREWORKS_CALLS,
    "fireworks-running": (*RUNNING, *_sent("POST datasets", "POST batchInferenceJobs")),
    "audio-resubmit": TABLE,
    "audio-hold": TABLE,
    "audio-folder": FOLDER,
    "audio-at-once": tuple(step for step in TABLE if "commit" not in step),  # groups go by what they hold
    "embedded-audio": TABLE,
}
COMPOSITIONS: dict[str, Make] = {
    "openai-verbs": _openai(()),
    "openai-verbs-expired": _openai((), expires=True),
    "openai-calls": _openai(CALLS),
    "openai-packed": _openai((), packs=True),
    "openai-running": _openai((*CALLS, "--once"), stops=True),
    "openai-chain": _chain,
    "openai-pairs": _pairs,
    "prune-verbs": _prune(()),
    "prune-calls": _prune(CALLS),
    "fireworks-verbs": _fireworks(()),
    "fireworks-calls": _fireworks(CALLS),
    "fireworks-running": _fireworks((*CALLS, "--once"), stops=True),
    "audio-resubmit": _audio(ALONE),
    "audio-hold": _audio(ALONE, resubmits=False),
    "audio-folder": _audio(ALONE, output="transcripts/"),
    "audio-at-once": _audio((*CALLS, "--parallelism", "4"), calls=4),
    "embedded-audio": _embedded,
}


@contextlib.contextmanager
def rig_of(name: str, folder: Path) -> Iterator[Rig]:
    """The composition of that name, with a server of its own."""
    root = folder / "project"
    root.mkdir()
    with serving(folder / "server") as server:
        yield COMPOSITIONS[name](root, server)


def crossed_by(rig: Rig) -> list[str]:
    """What it comes to when nobody kills it."""
    rig.fresh()
    crossed = rig.kill(0).crossed
    if "--once" in rig.words:  # what it left running would run on in the next round
        rig.check(0, None)
    return crossed


def missing_in(name: str, crossed: list[str]) -> list[str]:
    """What a composition must come to and did not."""
    return [step for step in MUST[name] if step not in crossed]


def main(names: list[str]) -> None:
    for name in names or COMPOSITIONS:
        with tempfile.TemporaryDirectory() as folder, rig_of(name, Path(folder)) as rig:
            crossed = crossed_by(rig)
        print(f"{name}: {len(crossed)} boundaries")
        print("".join(f"{number:4} {step}\n" for number, step in enumerate(crossed, 1)))


if __name__ == "__main__":
    main(sys.argv[1:])
