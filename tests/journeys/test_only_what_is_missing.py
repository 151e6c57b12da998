"""What is sent is what the specs want, less what is answered, less what is in flight."""

from __future__ import annotations

import time

from tests.journeys.lab import SPEC, Lab, until


def test_again_is_nothing_to_do(lab: Lab) -> None:
    lab.apply()
    before = lab.server.asked()
    begun = time.monotonic()
    done = lab.apply()
    assert time.monotonic() - begun < 5
    assert done.stdout == "Nothing to do\n"
    assert lab.server.asked() == before  # not one request, mutating or not


def test_rows_added_edited_and_reordered(lab: Lab) -> None:
    words = {f"r{n}": f"word {n}" for n in range(250)}
    lab.rows(words)
    lab.apply()
    lab.rows({**words, **{f"n{n}": f"new {n}" for n in range(50)}})
    assert "±" in lab.run("plan").stdout
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [250, 50]
    edited = {**words, **{f"n{n}": f"new {n}" for n in range(50)}, "r7": "another"}
    lab.rows(edited)
    lab.apply()
    assert lab.server.sent()[2:] == [["r7"]]
    lab.rows(dict(reversed(edited.items())))
    lab.apply()
    assert lab.server.creates() == 3
    assert [row["custom_id"] for row in lab.results()] == list(reversed(edited))
    assert all(row["answer"] == f"echo: Say {edited[row['custom_id']]}" for row in lab.results())


def test_layout_names_and_places_do_not_count(lab: Lab) -> None:
    lab.apply()
    reformatted = SPEC.replace("{{files: data/rows.csv, id: id}}", "\n    id: id\n    files: [moved/renamed.csv]")
    reformatted = reformatted.replace("params: {{max_tokens: 16}}", "params:\n      max_tokens: 16.0")
    lab.spec(reformatted.replace("results/answers.jsonl", "elsewhere/out.csv") + "# a comment\n")
    lab.rows(10, "moved/renamed.csv")
    assert "~ rewrite" in lab.run("plan").stdout
    lab.apply()
    assert lab.server.creates() == 1
    assert (lab.root / "elsewhere/out.csv").read_text().count("\n") == 11


def test_a_window_is_no_part_of_a_request(lab: Lab) -> None:
    windows = "    overrides: {{settle_s: 0.4, min_poll_s: 0.05, window: {{allowed: [24, 48]}}}}\n"
    spec = SPEC[: SPEC.index("    overrides:")] + windows
    lab.spec(spec)
    lab.apply()
    lab.spec(spec.replace("    output:", "    window: 48h\n    output:"))
    assert lab.apply().stdout == "Nothing to do\n"
    assert lab.server.creates() == 1


def test_everything_changed_is_a_replacement(lab: Lab) -> None:
    lab.apply()
    lab.spec(SPEC.replace("Say", "Sing"))
    shown = lab.run("plan").stdout
    assert "-/+ replace" in shown
    assert "10 answered requests are no longer wanted" in shown
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10, 10]
    assert lab.results()[0]["answer"] == "echo: Sing word 0"


def test_equal_requests_are_one_request(lab: Lab) -> None:
    lab.rows({"a": "same", "b": "same", "c": "other", "d": "same"})
    lab.apply()
    assert lab.server.sent() == [["a", "c"]]
    assert [(row["custom_id"], row["answer"]) for row in lab.results()] == [
        ("a", "echo: Say same"),
        ("b", "echo: Say same"),
        ("c", "echo: Say other"),
        ("d", "echo: Say same"),
    ]


TWO = SPEC.replace(
    "jobs:\n",
    "jobs:\n  zeta: {{dataset: more, prompt: ask, model: echo, output: results/zeta.jsonl}}\n",
).replace("datasets:\n", "datasets:\n  more: {{files: data/more.csv, id: id}}\n")


def test_two_jobs_share_what_both_ask(lab: Lab) -> None:
    lab.spec(TWO)
    lab.rows({"a": "one", "b": "two", "c": "three"})
    lab.rows({"x": "three", "y": "four", "z": "one"}, "data/more.csv")
    assert "asked by `answers`" in lab.run("plan").stdout
    lab.apply()
    assert sorted(lab.server.sent()) == [["a", "b", "c"], ["y"]]
    assert [row["answer"] for row in lab.results("results/zeta.jsonl")] == [
        "echo: Say three",
        "echo: Say four",
        "echo: Say one",
    ]
    assert [row["custom_id"] for row in lab.results("results/zeta.jsonl")] == ["x", "y", "z"]


def test_a_renamed_job_sends_nothing(lab: Lab) -> None:
    lab.apply()
    lab.spec(SPEC.replace("  answers:\n", "  renamed:\n"))
    lab.apply()
    assert lab.server.creates() == 1


def test_a_job_removed_while_it_runs_is_left_and_the_rest_goes_on(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    lab.spec(TWO)
    lab.rows({"y": "four"}, "data/more.csv")
    lab.apply("--no-wait", code=3)
    until(lambda: [batch["status"] for batch in lab.server.batches()] == ["in_progress"] * 2)
    lab.spec(SPEC)
    shown = lab.run("plan").stdout
    assert "no spec wants it any more" in shown
    assert "runner cancel zeta" in shown
    lab.server.fault(hold=None)
    done = lab.apply()
    assert "10 ok" in done.stdout
    assert lab.server.creates() == 2
    assert not (lab.root / "results/zeta.jsonl").exists()


def test_more_rows_than_one_batch_takes(lab: Lab) -> None:
    lab.spec(SPEC.replace("min_poll_s: 0.05", "min_poll_s: 0.05, limits: {{lines: 4}}"))
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [4, 4, 2]
    assert len(lab.results()) == 10
