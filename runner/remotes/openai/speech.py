"""Recordings asked one by one: `/v1/audio/transcriptions`, as OpenAI and servers of one's own have it.

Source: OpenAI, "Create transcription" and "Create translation", and the types of its Python SDK, openai 3.57.0
(2026-11-30). What servers beside it do otherwise is from general knowledge: a transcript that is no JSON may come as
the JSON of a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from runner.errors import OutcomeUnknown
from runner.job.capabilities import Capabilities
from runner.job.observed import Origin, Phase
from runner.remotes.audio import TEXT_FORMATS, Heard, Receipt, Recording, json_object_in, line_of
from runner.remotes.online import Answered
from runner.remotes.transport.asking import AtOnce
from runner.remotes.transport.replies import plain, request_id_of
from runner.remotes.transport.sending import ask

if TYPE_CHECKING:
    from runner.job.project import ProviderBlock
    from runner.remotes.transport.http import Http

_LISTS = ("timestamp_granularities",)  # fields that come once for each of their values, and are called so: `name[]`


class SpeechCaller(AtOnce):
    """Asks recordings. prefix: of a recording's path, which the base URL holds already."""

    def __init__(
        self,
        block: ProviderBlock,
        *,
        http: Http,
        card: Capabilities,
        origin: Origin,
        parallelism: int,
        prefix: str,
    ) -> None:
        super().__init__(block, http=http, card=card, origin=origin, parallelism=parallelism)
        self._prefix = prefix

    def submit(self, recording: Recording) -> Answered:
        """Raises OutcomeUnknown also for an answer that is none: it was paid for, and can be asked again."""
        fields = dict(_form_of(recording.fields))
        reply = ask(self._http, replace(recording, path=recording.path.removeprefix(self._prefix)), fields)
        body = reply.body.decode("utf-8", "replace")
        content_type = reply.headers.get("content-type", "")
        heard = Heard(Phase.COMPLETED, str(reply.status), *_said(recording, body, content_type))
        if heard.body is None:
            words = f"`{self._who}` answered {reply.status} with something that is no transcript: {plain(body[:1024])}"
            raise OutcomeUnknown(words, status=reply.status)
        receipt = Receipt(request_id_of(reply.headers) or "", "")
        return Answered(line_of(recording.custom_id, recording, receipt, heard), reply.headers)


def _form_of(fields: Mapping[str, str]) -> Iterator[tuple[str, str | list[str]]]:
    for name, text in fields.items():
        yield (f"{name}[]", text.split(",")) if name in _LISTS else (name, text)


def _said(recording: Recording, body: str, content_type: str) -> tuple[str | None, str]:
    """What was heard, and its content type; None for what is no transcript."""
    if recording.fields.get("response_format", "json") not in TEXT_FORMATS:
        found = json_object_in(body)
        return (body if found is not None and isinstance(found.get("text"), str) else None), "application/json"
    text: Any = body
    if body[:1] == '"':  # the JSON of a text
        try:
            text = msgspec.json.decode(body)
        except msgspec.MsgspecError:
            text = body
    if json_object_in(body) is not None and "json" in content_type:
        return None, ""
    return text.removesuffix("\n") if recording.fields["response_format"] == "text" else text, "text/plain"
