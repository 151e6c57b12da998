"""`runner serve`: the embedded batch server in the foreground."""

from __future__ import annotations

from collections.abc import Sequence

import click


@click.command("serve")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65_535), help="The port; 0 picks a free one."
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen at; any but loopback needs a --token."
)
@click.option(
    "--dir",
    "root",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where files and batches are kept.  [default: RUNNER_HOME, or the user's data directory]",
)
@click.option(
    "--engine",
    type=click.Choice(["echo", "smollm2-135m", "pocketsphinx", "upstream"]),
    help="What answers for model names that are not known here; without it such rows fail.",
)
@click.option(
    "--stand-in",
    "stands_in",
    is_flag=True,
    help="Stand in for other remotes: the engine answers for every model, any window and size is taken.",
)
@click.option(
    "--token",
    "tokens",
    metavar="T",
    multiple=True,
    help="Accepted keys; each further one sees only its own objects.  [default: the one kept in DIR/token]  "
    "Other users of this machine can read the arguments of a command: prefer the two below.",
)
@click.option(
    "--token-env", "token_names", metavar="NAME", multiple=True, help="An environment variable that holds such a key."
)
@click.option(
    "--token-file",
    "token_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(dir_okay=False),
    help="A file that holds such keys, one a line.",
)
@click.option("--upstream", metavar="URL", help="The OpenAI-compatible server of `--engine upstream`, with its /v1.")
@click.option("--upstream-key-env", metavar="NAME", help="The environment variable that holds the upstream's key.")
@click.option(
    "--concurrency",
    default=8,
    show_default=True,
    type=click.IntRange(1, 1_000),
    help="How many requests go to the upstream at a time.",
)
@click.option("--fault", "faults", metavar="NAME[=VALUE]", multiple=True, help="Switch a fault on; see --list-faults.")
@click.option("--list-faults", is_flag=True, help="List the faults and their values, and exit.")
@click.option("--until-stdin-closes", is_flag=True, help="Exit when standard input is closed; ignore Ctrl-C.")
def command(
    port: int,
    host: str,
    root: str | None,
    engine: str | None,
    stands_in: bool,
    tokens: tuple[str, ...],
    token_names: tuple[str, ...],
    token_files: tuple[str, ...],
    upstream: str | None,
    upstream_key_env: str | None,
    concurrency: int,
    faults: tuple[str, ...],
    list_faults: bool,
    until_stdin_closes: bool,
) -> None:
    """Serve batch APIs on this machine: files and batches as OpenAI has them, datasets and batch
    inference jobs (any account) and audio batches as Fireworks has them, over a directory.

    Restart it, or kill it, and batches go on where they stopped. Faults can also be set while it runs:
    `PUT /_faults` with a JSON object of names and values, `GET /_faults`, and `GET /_log` for what was asked.
    """
    if list_faults:
        _list_faults()
        return
    import os
    import signal
    from pathlib import Path

    from runner.errors import UsageError
    from runner.server.embedded import check_installed, data_dir, models_dir

    check_installed()
    from runner.server.connections import raise_limit
    from runner.server.serve import Options, Service

    if upstream_key_env and not os.environ.get(upstream_key_env):
        raise UsageError(f"`{upstream_key_env}` is not set", hint="export the upstream's key, or leave the option out")
    tokens += _tokens_elsewhere(token_names, token_files)
    directory = Path(root).absolute() if root else data_dir(os.environ)
    options = Options(
        root=directory,
        models=models_dir(os.environ),
        host=host,
        port=port,
        engine=engine or ("upstream" if upstream else None),
        tokens=tokens,
        faults=faults,
        upstream=upstream,
        upstream_key=os.environ.get(upstream_key_env) if upstream_key_env else None,
        concurrency=concurrency,
        stands_in=stands_in,
    )
    _log_to_stderr()
    raise_limit()
    if until_stdin_closes:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    service = Service(options)
    if until_stdin_closes:
        service.stop_when_stdin_closes()
    where = "as given" if tokens else str(directory / "token")
    service.run(lambda: _announce(service.url, where, str(directory)))


def _tokens_elsewhere(names: Sequence[str], files: Sequence[str]) -> tuple[str, ...]:
    """Keys out of variables and files, where no list of processes shows them. Raises UsageError."""
    import os
    from pathlib import Path

    from runner.errors import UsageError

    found = []
    for name in names:
        if not os.environ.get(name):
            raise UsageError(f"`{name}` is not set", hint="export the key it is to hold, or leave `--token-env` out")
        found.append(os.environ[name])
    for file in files:
        try:
            keys = Path(file).read_text().split()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UsageError(f"`--token-file {file}` cannot be read: {reason}") from error
        if not keys:
            raise UsageError(f"`{file}` holds no key", hint="write one a line")
        found += keys
    return tuple(found)


def _announce(url: str, token: str, directory: str) -> None:
    click.echo(f"OpenAI files and batches     {url}/v1")
    click.echo(f"Fireworks datasets and jobs  {url}")
    click.echo(f"Fireworks audio batches      {url}")
    click.echo(f"token                        {token}")
    click.echo(f"data                         {directory}")


def _list_faults() -> None:
    from runner.server.faults.switches import FAULTS

    for fault in FAULTS.values():
        options = "".join(f",{name}={value}" for name, value in fault.options.items())
        click.echo(f"{fault.name}={fault.unit}{options}\n    {fault.help}")


def _log_to_stderr() -> None:
    import logging
    import sys

    if not logging.getLogger().handlers:
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("runner.server").setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
