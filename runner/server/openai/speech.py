"""`/v1/audio/...`: one recording in, its words out, at once. Servers that speak like OpenAI's whisper do the same.

Source: OpenAI, "Create transcription" and "Create translation", and the types of its Python SDK, openai 3.57.0
(2026-11-30); the words of errors are from general knowledge.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runner.server import multipart
from runner.server.audio.able import check_able
from runner.server.audio.cues import segments, tidy
from runner.server.audio.languages import CODES
from runner.server.audio.records import Wish
from runner.server.audio.render import TEXT, plain_text
from runner.server.endpoint import ApiCall, Effect, Endpoint
from runner.server.engines.asr import CannotTranscribe, ReceivedRecording, TimedTranscript
from runner.server.errors import ApiError
from runner.server.online import OnlineCalls
from runner.server.openai.errors import ERROR_STYLE, invalid, missing
from runner.server.openai.online import STYLE

MAX_FILE_BYTES = 25 * 1024 * 1024
PATHS = {"transcribe": "/v1/audio/transcriptions", "translate": "/v1/audio/translations"}
_SUFFIXES = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_FIELDS = ("model", "prompt", "response_format", "temperature")
_OF_TRANSCRIPTIONS = ("language", "timestamp_granularities[]", "stream", "include[]", "chunking_strategy")
_MAX_FORM_BYTES = 1 << 20
# as Whisper names the languages that are spoken here; the others go by their code
_LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian", "nl": "dutch"}


def endpoints(calls: OnlineCalls) -> list[Endpoint]:
    return [
        Endpoint("POST", path, Speech(calls, task).answer, ERROR_STYLE, Effect.ANSWER) for task, path in PATHS.items()
    ]


class Speech:
    """One of the two endpoints."""

    def __init__(self, calls: OnlineCalls, task: str) -> None:
        self._calls = calls
        self._task = task

    async def answer(self, call: ApiCall) -> Response:
        most = MAX_FILE_BYTES + _MAX_FORM_BYTES
        declared = call.headers.get("content-length", "0")
        if declared.isdigit() and int(declared[:20]) > most:
            raise _too_large()
        part = call.site.home.incoming()
        try:
            kind = call.headers.get("content-type", "")
            form = await multipart.receive(kind, call.stream(), part, max_bytes=MAX_FILE_BYTES, hashing=True)
            wish = _wish_of(self._task, form)
            headers = self._calls.admitted(call.owner, wish.model, STYLE, 0)
            if not call.site.asr_engines.name_of(wish.model):
                text = f"The model `{wish.model[:64]}` does not exist or you do not have access to it."
                raise ApiError(404, text, param="model", code="model_not_found")
            check_able(call.site.asr_engines, wish)
            recording = ReceivedRecording(part, form.sha256, form.size_bytes, wish.task, wish.language)
            engines = call.site.asr_engines
            transcript = await self._calls.run(engines, wish.model, lambda engine: engine.transcribe(recording))
        except multipart.UploadTooLarge as error:
            raise _too_large() from error
        except multipart.BadUpload as error:
            raise ApiError(400, f"Invalid upload: {error}.") from error
        except CannotTranscribe as error:
            text = f"The audio file could not be decoded or its format is not supported: {error}"
            raise ApiError(400, text[:512], param="file") from error
        finally:
            await run_in_threadpool(part.unlink, missing_ok=True)
        response = _rendered(tidy(transcript), wish)
        response.headers.update(headers)
        return response


def _too_large() -> ApiError:
    return ApiError(413, f"Maximum content size limit ({MAX_FILE_BYTES}) exceeded.")


def _wish_of(task: str, form: multipart.UploadForm) -> Wish:
    """What a form asks for. Raises ApiError 400 that names the field."""
    fields = form.fields
    if form.file is None:
        raise missing("file")
    if Path(form.filename).suffix.removeprefix(".").lower() not in _SUFFIXES:
        raise ApiError(400, f"Invalid file format. Supported formats: {list(_SUFFIXES)}")
    if form.size_bytes == 0:
        raise ApiError(400, "Audio file is too short. Minimum audio length is 0.1 seconds.", code="audio_too_short")
    if not fields.get("model"):
        raise missing("model")
    known = (*_FIELDS, *(_OF_TRANSCRIPTIONS if task == "transcribe" else ()))
    for name in fields:
        if name not in known:
            raise ApiError(400, f"Unrecognized request argument supplied: {name[:64]}")
    if fields.get("stream", "false") != "false":
        text = "Unsupported value: 'stream' does not support true on this server. Leave it out, or set it to false."
        raise invalid("stream", text, "unsupported_value")
    chosen = fields.get("response_format", "json")
    if chosen not in _FORMATS:
        names = ", ".join(f"'{name}'" for name in _FORMATS)
        raise invalid("response_format", f"Invalid value: '{chosen[:64]}'. Supported values are: {names}.")
    language = fields.get("language", "")
    if language and language not in CODES:
        text = f"Invalid language '{language[:32]}'. Language parameter must be specified in ISO-639-1 format."
        raise invalid("language", text, "invalid_language_format")
    _check_temperature(fields.get("temperature", "0"))
    parts = [value for name, value in form.pairs if name == "timestamp_granularities[]"]
    for each in parts:
        if each not in ("word", "segment"):
            text = f"Invalid value: '{each[:64]}'. Supported values are: 'word' and 'segment'."
            raise invalid("timestamp_granularities", text)
    if parts and chosen != "verbose_json":
        text = "'timestamp_granularities' needs 'response_format' to be 'verbose_json'."
        raise invalid("timestamp_granularities", text)
    return Wish(
        task=task,
        model=fields["model"],
        response_format=chosen,
        language=language,
        words="word" in parts,
        segments="segment" in parts or not parts,
    )


def _check_temperature(text: str) -> None:
    try:
        is_fit = 0 <= float(text) <= 1
    except ValueError:
        is_fit = False
    if not is_fit:
        raise invalid("temperature", f"Invalid 'temperature': expected a number from 0 to 1, but got '{text[:32]}'.")


def _rendered(transcript: TimedTranscript, wish: Wish) -> Response:
    if wish.response_format in ("text", "srt", "vtt"):
        return Response(plain_text(transcript, wish), media_type=TEXT)
    text = " ".join(word.text for word in transcript.words)
    body: dict[str, object] = {"text": text}
    if wish.response_format == "verbose_json":
        language = "en" if wish.task == "translate" else transcript.language
        body = {
            "task": wish.task,
            "language": _LANGUAGES.get(language, language),
            "duration": transcript.duration_ms / 1000,
            "text": text,
        }
        if wish.segments:
            body["segments"] = _segments(transcript)
        if wish.words:
            body["words"] = [
                {"word": word.text, "start": word.start_ms / 1000, "end": word.end_ms / 1000}
                for word in transcript.words
            ]
    body["usage"] = {"type": "duration", "seconds": -(-transcript.duration_ms // 1000)}
    return Response(msgspec.json.encode(body), media_type="application/json")


def _segments(transcript: TimedTranscript) -> list[dict[str, object]]:
    return [
        {
            "id": number,
            "seek": 0,
            "start": segment.start_ms / 1000,
            "end": segment.end_ms / 1000,
            "text": segment.text,
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": 0.0,
            "compression_ratio": 1.0,
            "no_speech_prob": 0.0,
        }
        for number, segment in enumerate(segments(transcript.words))
    ]
