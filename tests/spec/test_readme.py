"""The specs that the README shows are specs."""

from __future__ import annotations

import re
from pathlib import Path

from runner.spec.load import load

README = Path(__file__).parents[2] / "README.md"


def test_the_providers_of_the_readme_are_read(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    shown = [block for block in blocks if block.startswith("providers:")]
    assert len(shown) == 1
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text(shown[0])
    found = load(["specs"], tmp_path)
    assert found.warnings == ()
    assert found.providers["gateway"].headers_env == {"X-Gw": "GW_TOKEN"}
    assert found.providers["in-cluster"].insecure_http
