"""`runner models`: the models the embedded server can run here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.options import option
from runner.cli.saying import say, say_json

if TYPE_CHECKING:
    from runner.cli.modelview import ModelsView


_WITH_EXTRA = {"local": "runner-batch[local]", "asr": "runner-batch[asr]"}


@click.group("models")
def command() -> None:
    """The models of the embedded server."""


@command.command("list")
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_models(form: str) -> None:
    """Show each model and whether it can run now."""
    from runner.cli import modelview

    view = _view()
    if form == "json":
        say_json(view)
        return
    say(modelview.text_of(view))
    for extra in sorted({one.extra for one in view.models if not one.is_installed}):
        say(f"\nThe extra `{extra}` is not installed: `pip install '{_WITH_EXTRA[extra]}'`", err=True)


def _view() -> ModelsView:
    import importlib.util
    import os

    from runner.cli.modelview import VERSION, Model, ModelsView
    from runner.server.embedded import models_dir
    from runner.server.engines import pocketsphinx
    from runner.server.weights import WEIGHTS, find

    models, has_runtime = models_dir(os.environ), importlib.util.find_spec("xllamacpp") is not None
    weights = (
        Model(
            one.model,
            f"{one.about}, {one.licence}",
            extra="local",
            is_installed=has_runtime,
            is_pulled=find(one.model, models) is not None,
            size_bytes=one.size_bytes,
        )
        for one in WEIGHTS.values()
    )
    speech = Model(
        pocketsphinx.MODEL,
        "speech in English, with its own model",
        extra="asr",
        is_installed=pocketsphinx.is_installed(),
    )
    return ModelsView(
        VERSION, (Model("echo", "deterministic answers, marked synthetic; needs nothing"), *weights, speech)
    )


@command.command("pull")
@click.argument("name")
def pull_model(name: str) -> None:
    """Fetch the weights of NAME, once, and check them."""
    import os

    from runner.server.embedded import models_dir
    from runner.server.weights import pull

    path = pull(name, models_dir(os.environ), say=lambda line: say(line, err=True))
    click.echo(str(path))
