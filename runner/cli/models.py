"""`runner models`: the models the embedded server can run here."""

from __future__ import annotations

import click

from runner.cli.saying import say


@click.group("models")
def command() -> None:
    """The models of the embedded server."""


@command.command("list")
def list_models() -> None:
    """Show each model and whether it can run now."""
    import importlib.util
    import os

    from runner.server.embedded import models_dir
    from runner.server.weights import WEIGHTS, find

    models = models_dir(os.environ)
    say("echo          ready        deterministic answers, marked synthetic; needs nothing")
    has_runtime = importlib.util.find_spec("xllamacpp") is not None
    for one in WEIGHTS.values():
        if find(one.model, models) is None:
            state = "not pulled"
        else:
            state = "ready" if has_runtime else "no runtime"
        say(f"{one.model:13} {state:12} {one.about}, {one.licence}, {one.size_bytes / 1e6:,.0f} MB")
    from runner.server.engines import pocketsphinx

    has_speech = pocketsphinx.is_installed()
    state = "ready" if has_speech else "no runtime"
    say(f"{pocketsphinx.MODEL:13} {state:12} speech in English, with its own model; needs the extra `asr`")
    if not has_speech:
        say("\nThe extra `asr` is not installed: `pip install 'runner-batch[asr]'`", err=True)
    if not has_runtime:
        say("\nThe extra `local` is not installed: `pip install 'runner-batch[local]'`", err=True)


@command.command("pull")
@click.argument("name")
def pull_model(name: str) -> None:
    """Fetch the weights of NAME, once, and check them."""
    import os

    from runner.server.embedded import models_dir
    from runner.server.weights import pull

    path = pull(name, models_dir(os.environ), say=lambda line: say(line, err=True))
    click.echo(str(path))
