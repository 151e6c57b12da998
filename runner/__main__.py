"""`python -m runner` and the console script."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    # Hardly anything here makes cycles. Looking for them at every 700 new objects costs 5 % of a large apply, at every
    # 100,000 a twentieth of a small one while it starts, and once more at the end a fifth of one without work.
    gc.set_threshold(300_000, 20, 20)
    from runner.cli import unchanged

    if unchanged.answer(sys.argv[1:]):
        return
    # httpx brings its command line along wherever it finds rich: 70 ms of every process that speaks to a remote.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None stands for "cannot be imported"
    # pydantic looks through every installed package for plugins; none of them is asked to see specs.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from runner.cli.main import run

    code = run(sys.argv[1:])
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()
