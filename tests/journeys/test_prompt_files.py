"""Messages whose texts lie in files: the same request as with the text in the specs, and sent anew on an edit."""

from __future__ import annotations

import json

from tests.journeys.lab import Lab

IN_FILES = """\
    messages:
      - {role: system, file: prompts/system.md}
      - {role: user, content: "Hello"}
      - {role: assistant, file: prompts/assistant.md}
      - {role: user, content: "{{ word }}"}
"""


def test_texts_of_messages_lie_in_files(lab: Lab) -> None:
    path = lab.root / "specs/lab.yaml"
    spec = path.read_text()
    (lab.root / "prompts").mkdir()
    (lab.root / "prompts/system.md").write_bytes(b"Be brief.\r\n{{ word }}")
    (lab.root / "prompts/assistant.md").write_text("Hi!")
    path.write_text(spec.replace('  ask: {user: "Say {{ word }}"}\n', f"  ask:\n{IN_FILES}"))
    lab.apply()
    [batch] = lab.server.batches()
    line = json.loads(lab.server.raw("GET", f"/v1/files/{batch['input_file_id']}/content").split(b"\n")[3])
    said = [("system", "Be brief.\nword 3"), ("user", "Hello"), ("assistant", "Hi!"), ("user", "word 3")]
    assert [(message["role"], message["content"]) for message in line["body"]["messages"]] == said
    assert lab.apply().stdout == "Nothing to do\n"
    path.write_text(spec.replace('{user: "Say {{ word }}"}', '{system: {file: prompts/system.md}, user: "{{ word }}"}'))
    assert "10 requests" in lab.run("plan", "specs/").stdout
    lab.apply()
    path.write_text(spec.replace('{user: "Say {{ word }}"}', '{system: "Be brief.\\n{{ word }}", user: "{{ word }}"}'))
    assert lab.apply().stdout == "Nothing to do\n", "the same text is the same request"
    path.write_text(spec.replace('{user: "Say {{ word }}"}', '{system: {file: prompts/system.md}, user: "{{ word }}"}'))
    (lab.root / "prompts/system.md").write_text("Be long.")
    assert "every request changed" in lab.run("plan", "specs/").stdout
    (lab.root / "prompts/system.md").write_text("Be {{ wrod }}.")
    refused = lab.run("validate", "specs/", code=1).stderr
    assert "prompts/system.md:1:7: error:" in refused and "wrod" in refused
