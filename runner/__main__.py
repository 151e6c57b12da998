"""`python -m runner` and the console script."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    try:
        _main()
    except KeyboardInterrupt:  # before the command has begun, or after its end
        sys.exit(130)


def _main() -> None:
    _have_streams()
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


def _have_streams() -> None:
    """Give this process the streams that its parent closed, and let each take every letter."""
    # Whoever starts a daemon may close all three. The next file to be opened, such as a database, would get the number,
    # and whatever a library writes to "stdout" would be written into it.
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        stream = getattr(sys, name)
        if stream is None:
            opened = os.open(os.devnull, os.O_RDWR)
            os.dup2(opened, number)
            os.set_inheritable(number, True)
            if opened != number:
                os.close(opened)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
        elif mode == "w" and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # a sign that an old encoding does not have ends no command


if __name__ == "__main__":
    main()
