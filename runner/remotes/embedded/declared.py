"""What specs may say about the embedded server: nothing but its name. It takes rows, and recordings with their form."""

from __future__ import annotations

from runner.job.capabilities import Content
from runner.remotes.fireworks_audio.declared import FORM
from runner.remotes.openai.params import LOOK_ALIKE
from runner.remotes.vendor import Declared

KIND = "embedded"
MODELS = ("echo", "pocketsphinx", "smollm2-135m")  # a test holds them to what the server lists
DECLARED = Declared(
    has_online=True,
    content=frozenset({Content.TEXT, Content.RECORDING}),
    is_configurable=False,
    models=MODELS,
    known_params=lambda block, endpoint: LOOK_ALIKE.get(endpoint, {}),
    form=FORM,  # the server speaks that API
    written=("model", "messages", "input", "stream"),
)
