"""Checks and all that belongs to them cost nothing: they may be added, edited and taken away after everything ran."""

from __future__ import annotations

from tests.journeys.lab import SPEC, Lab

HELD = """\
    output: results/answers.jsonl
    checks:
      same: {{equals: "{{{{ word }}}}", ignore: case}}
      said: {{contains: "{{{{ truth }}}}", unanswered: excluded}}
      short: {{expression: "{{{{ answer | length < 100 }}}}"}}
    slices: [word, {{first: "{{{{ word[:1] }}}}"}}]
    cluster: word
    references: {{dataset: truths, on: id}}
    expect: {{answered: ">= 99 %", short: {{is: ">= 0.5", by: interval}}}}
"""


def test_every_key_may_be_added_and_taken_away_without_a_request(lab: Lab) -> None:
    lab.apply()
    creates = lab.server.creates()
    (lab.root / "data/truths.csv").write_text("id,truth\nr0,word\nr1,word\n")
    lab.spec(
        SPEC.replace("    output: results/answers.jsonl\n", HELD).replace(
            "datasets:\n", "datasets:\n  truths: {{files: data/truths.csv}}\n"
        )
    )
    assert lab.run("plan").stdout.endswith("\nPlan: 1 file to write\n")  # of scores; and no request
    lab.apply()
    assert lab.server.creates() == creates
    lab.spec()
    assert lab.run("plan").stdout.endswith("\nPlan: 1 file to remove\n")
    lab.apply()
    assert lab.run("plan").stdout == "Nothing to do\n"
    assert lab.apply().stdout == "Nothing to do\n"
    assert lab.server.creates() == creates
