"""Chat transcripts with tool turns, and ready batch files: answered, edited, and run again as rows are."""

from __future__ import annotations

import json
from typing import Any

from tests.journeys.lab import SPEC, Lab

TALKS = (
    SPEC.replace(
        'ask: {{user: "Say {{{{ word }}}}"}}',
        """ask:
    messages:
      - {{role: system, content: "You help {{{{ name }}}}."}}
      - {{from: history}}
      - {{role: user, content: "And tomorrow, {{{{ name }}}}?"}}
    tools: {{from: tools}}""",
    )
    .replace("data/rows.csv", "data/talks.jsonl")
    .replace("max_tokens: 16", 'max_tokens: 16, temperature: "{{{{ t }}}}"')
)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def talk(number: int, said: str = "sunny") -> dict[str, Any]:
    call = {"id": f"c{number}", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Lima"}'}}
    history = [
        {"role": "user", "content": "Weather in Lima?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": said},
        {"role": "assistant", "content": f"It is {said}."},
    ]
    return {"id": f"t{number}", "name": f"Ann {number}", "history": history, "tools": TOOLS, "t": number / 4}


def write(lab: Lab, rows: list[dict[str, Any]], name: str) -> None:
    (lab.root / "data").mkdir(exist_ok=True)
    (lab.root / "data" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def bodies(lab: Lab, batch: dict[str, Any]) -> list[dict[str, Any]]:
    raw = lab.server.raw("GET", f"/v1/files/{batch['input_file_id']}/content")
    return [json.loads(line)["body"] for line in raw.split(b"\n") if line]


def test_transcripts_with_tool_turns_are_rows_like_others(lab: Lab) -> None:
    talks = [talk(number) for number in range(5)]
    write(lab, talks, "talks.jsonl")
    says = """{{{{ "echo: And tomorrow, Ann " ~ row.history[1].tool_calls[0].id[1:] ~ "?" }}}}"""
    lab.spec(TALKS.replace("    model: echo", f"    model: echo\n    checks: {{{{right: {{{{equals: '{says}'}}}}}}}}"))
    lab.run("validate", "specs/")
    lab.apply()
    (batch,) = lab.server.batches()
    for row, body in zip(talks, bodies(lab, batch), strict=True):
        assert body["temperature"] == row["t"]
        assert body["tools"] == TOOLS
        assert body["messages"] == [
            {"role": "system", "content": f"You help {row['name']}."},
            *row["history"],
            {"role": "user", "content": f"And tomorrow, {row['name']}?"},
        ]
    assert [one["answer"] for one in lab.results()] == [f"echo: And tomorrow, Ann {number}?" for number in range(5)]
    assert [one["row"] for one in lab.results()] == talks
    shown = lab.run("status", "specs/").stdout
    assert "right" in shown and "100" in shown, shown
    assert "Nothing to do" in lab.apply().stdout
    # one turn of one talk is another now: one is sent
    talks[3] = talk(3, "cloudy")
    write(lab, talks, "talks.jsonl")
    said = lab.run("plan", "specs/", "--diff", code=None).stdout
    assert "1 request" in said
    lab.apply()
    assert lab.server.sent() == [["t0", "t1", "t2", "t3", "t4"], ["t3"]]
    assert "Nothing to do" in lab.apply().stdout
    # what is no message is named, and nothing is sent
    del talks[1]["history"][2]["tool_call_id"]
    write(lab, talks, "talks.jsonl")
    refused = lab.apply(code=1).stderr
    assert "data/talks.jsonl:2: error: message 3 of `history` has no `tool_call_id`" in refused
    assert lab.server.creates() == 2


READY = """\
project: moved
jobs:
  mine:
    requests: batch_input.jsonl
    provider: lab
    output: results/answers.jsonl
providers:
  lab:
    kind: openai
    base_url: {url}
    api_key_env: LAB_KEY
    overrides: {{settle_s: 0.4, min_poll_s: 0.05}}
"""


def test_what_rows_may_ask_for_is_not_taken_for_bounded(lab: Lab) -> None:
    """A budget that cannot be held holds the job back: a row's own `max_tokens` is no bound that the model's is."""
    rows = [{"id": "a", "body": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 100_000}}]
    write(lab, rows, "rows.jsonl")
    text = SPEC.replace("prompt: ask", "body: {{from: body}}").replace("data/rows.csv", "data/rows.jsonl")
    priced = text.replace("name: echo", "name: echo\n    price: {{input: 1, output: 1}}")
    lab.spec(priced.replace("output: results", "budget: 0.01\n    output: results"))
    # 100,000 tokens at a dollar a million: ten cents, and not the 16 tokens of the model's params
    assert "this plan is estimated at $0.10" in lab.apply(code=5).stdout
    del rows[0]["body"]["max_tokens"]
    lab.spec(priced.replace("max_tokens: 16", "top_p: 1").replace("output: results", "budget: 1\n    output: results"))
    write(lab, rows, "rows.jsonl")
    assert "the cost of this plan is not known" in lab.apply(code=5).stdout
    write(lab, [{"id": "b", "body": {**rows[0]["body"], "max_tokens": 9}}], "rows.jsonl")
    lab.apply()
    assert [one["answer"] for one in lab.results()] == ["echo: x"]


def test_a_body_that_asks_for_json_gets_it_in_its_columns(lab: Lab) -> None:
    lab.rows({"a": "one"})
    schema = "{{type: object, properties: {{n: {{type: integer}}}}, required: [n]}}"
    form = f"{{{{type: json_schema, json_schema: {{{{name: n, schema: {schema}}}}}}}}}"
    body = '{{messages: [{{role: user, content: "{{{{ word }}}}"}}], response_format: ' + form + "}}"
    lab.spec(
        SPEC.replace("prompt: ask", f"body: {body}").replace(
            "    model: echo", "    model: echo\n    columns: [custom_id, {{n: answer.n}}]"
        )
    )
    lab.apply()
    (found,) = lab.results()
    assert isinstance(found["n"], int)


def line(number: int, said: str = "") -> str:
    """As the vendors' pages show one."""
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": said or f"What is {number}+2?"},
    ]
    body = {"model": "echo", "messages": messages, "max_tokens": 100}
    whole = {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(whole)


def test_a_ready_batch_file_is_answered_edited_and_run_again(lab: Lab) -> None:
    lines = [line(number) for number in range(10_000)]
    path = lab.root / "batch_input.jsonl"
    path.write_text("\n".join(lines) + "\n")
    lab.spec(READY)
    assert "10,000 requests" in lab.run("plan", "specs/").stdout
    lab.apply()
    (batch,) = lab.server.batches()
    raw = lab.server.raw("GET", f"/v1/files/{batch['input_file_id']}/content").splitlines()
    # theirs are the bodies, byte for byte; ours is the id on the wire, and theirs comes back
    assert [one.partition(b'"body":')[2] for one in raw] == [one.partition('"body": ')[2].encode() for one in lines]
    found = lab.results()
    assert [one["custom_id"] for one in found] == [f"request-{number}" for number in range(10_000)]
    assert [one["answer"] for one in found] == [f"echo: What is {number}+2?" for number in range(10_000)]
    assert "Nothing to do" in lab.apply().stdout
    lines[4321] = line(4321, "Say hi in one sentence.")
    path.write_text("\n".join(reversed(lines)) + "\n")  # in another order, too
    lab.apply()
    assert lab.server.sent()[1:] == [["request-4321"]]
    assert lab.results()[5678]["answer"] == "echo: Say hi in one sentence."
    assert "Nothing to do" in lab.apply().stdout
    path.write_text("\n".join([lines[0], lines[1], lines[0]]) + "\n")
    refused = lab.apply(code=1).stderr
    assert "the id `request-0` is there twice: at `batch_input.jsonl:1` and at `batch_input.jsonl:3`" in refused
    assert lab.server.creates() == 2
