"""The providers that a page shows are read."""

from __future__ import annotations

import re
from pathlib import Path

from runner.spec.load import load

PAGE = Path(__file__).parents[2] / "docs/remotes.md"


def test_the_providers_of_the_page_are_read(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    shown = [block for block in blocks if block.startswith("providers:")]
    assert len(shown) == 1
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text(shown[0])
    found = load(["specs"], tmp_path)
    assert found.warnings == ()
    assert found.providers["gateway"].headers_env == {"X-Gw": "GW_TOKEN"}
    assert found.providers["in-cluster"].insecure_http
