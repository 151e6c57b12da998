"""Large datasets go in parts to signed URLs; memory stays flat and every byte arrives."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import urllib.request
from itertools import count

import pytest

from tests.journeys.fireworks.lab import SPEC, UPLOAD, Account, FireLab
from tests.journeys.lab import RUNNER

PUT = "PUT /storage/upload/{owner}/{account}/{dataset}/{name}"
LETTERS = 10_000  # in a row's text
NUMBERS = count(1)


def texts(lab: FireLab, megabytes: int) -> int:
    """A dataset of about so many megabytes; its rows."""
    rows = megabytes * 1_000_000 // LETTERS
    words = "abcdefghij" * (LETTERS // 10)
    path = lab.root / "data/rows.jsonl"
    path.parent.mkdir(exist_ok=True)
    with open(path, "w") as file:
        file.writelines(json.dumps({"id": f"r{n}", "word": f"{n} {words}"}) + "\n" for n in range(rows))
    return rows


def spec(lab: FireLab, more: str = "") -> None:
    """The usual job over these texts, for an account of its own."""
    lab.account = Account(lab.server, f"{lab.account.name.partition('-n')[0]}-n{next(NUMBERS)}")
    lab.apply_anew()
    text = SPEC.replace("rows.csv", "rows.jsonl").replace("max_tokens: 64", "max_tokens: 4")
    lab.spec(text.replace("max_poll_s: 0.3", f"max_poll_s: 0.3{more}"))


def peak_of_apply(lab: FireLab) -> float:
    """MiB that an `apply` to the end held at most."""
    command = [*RUNNER, "apply", "specs/", "-y", "--quiet"]  # not forked: memory that is shared would count as its own
    with subprocess.Popen(
        command, cwd=lab.root, env=lab.environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return usage.ru_maxrss / 1024


def uploaded(lab: FireLab) -> tuple[int, str]:
    """How many files the dataset has, and the digest of their bytes behind each other."""
    (dataset,) = lab.account.uploads()
    digest = hashlib.sha256()
    urls = lab.account.urls(dataset)
    for name in sorted(urls):
        with urllib.request.urlopen(urls[name], timeout=60) as reply:
            while chunk := reply.read(1 << 20):
                digest.update(chunk)
    return len(urls), digest.hexdigest()


@pytest.mark.parametrize(("part_mb", "parts"), [(10, 4), (64, 1)])
def test_thirty_megabytes_in_parts_are_the_bytes_of_one_form(part_mb: int, parts: int, lab: FireLab) -> None:
    rows = texts(lab, 30)
    spec(lab)
    lab.apply("--no-wait", code=None)
    assert PUT not in lab.account.asked()
    form = uploaded(lab)
    spec(lab, f", upload_bytes: 1000000, part_bytes: {part_mb}000000")
    lab.apply()
    assert lab.account.asked()[PUT] == parts
    assert UPLOAD not in lab.account.asked()
    assert uploaded(lab) == (parts, form[1])
    assert len(lab.results()) == rows and all(row["error"] is None for row in lab.results())
    lab.done()


def test_memory_is_flat_in_the_size_of_a_dataset(lab: FireLab) -> None:
    peaks = []
    for megabytes in (4, 40):
        texts(lab, megabytes)
        spec(lab, ", upload_bytes: 1000000, part_bytes: 10000000")
        peaks.append(peak_of_apply(lab))
    assert peaks[1] - peaks[0] < 24, peaks


@pytest.mark.sweep
@pytest.mark.timeout(900)
def test_four_hundred_megabytes(lab: FireLab) -> None:
    """With the provider's own sizes: one form up to 140 MB, then parts of 128 MB."""
    peaks = []
    for megabytes in (40, 400):
        rows = texts(lab, megabytes)
        spec(lab)
        peaks.append(peak_of_apply(lab))
        lab.forget()
        (lab.root / "results/answers.jsonl").unlink()
        peaks.append(peak_of_apply(lab))  # every request is read back from its dataset
    assert lab.account.asked()[PUT] == 4
    assert len(lab.account.jobs()) == 1
    assert peaks[2] - peaks[0] < 60 and peaks[3] - peaks[1] < 60, peaks
    assert len(lab.results()) == rows
    in_parts = uploaded(lab)
    assert in_parts[0] == 4
    spec(lab, ", upload_bytes: 1, part_bytes: 900000000")
    lab.apply("--no-wait", code=None)
    assert uploaded(lab) == (1, in_parts[1])
