"""The form of a request, field by field. Values are texts; a list is one text with commas, or the name with `[]` again.

Source: Fireworks "Transcribe audio" and "Translate audio", as the pages were in 2025-11 (read 2026-11-21).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from runner.server.audio.errors import invalid
from runner.server.audio.languages import CODES
from runner.server.audio.records import Wish

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_GRANULARITIES = "timestamp_granularities"
_TEMPERATURE = "temperature"
_SPEAKERS = ("diarize", "min_speakers", "max_speakers", "diarization_model")

Check = Callable[[str, str], None]  # (name, text); raises ApiError 400


def wish_of(task: str, pairs: Iterable[tuple[str, str]]) -> Wish:
    """What a form asks for. Raises ApiError 400 that names the field."""
    form = _gathered(pairs)
    checks = _CHECKS if task == "transcribe" else {k: v for k, v in _CHECKS.items() if k not in _SPEAKERS}
    for name, text in form.items():
        if name not in checks:
            raise invalid(name[:64], f"Unknown field `{name[:64]}`: there are {', '.join(['file', *checks])}.")
        checks[name](name, text)
    parts = form.get(_GRANULARITIES, "segment").replace(" ", "").split(",")
    wish = Wish(
        task=task,
        model=form.get("model", "whisper-v3"),
        response_format=form.get("response_format", "json"),
        language=form.get("language", ""),
        words="word" in parts,
        segments="segment" in parts,
        diarize=_is_true(form.get("diarize", "false")),
    )
    _agree(wish, form)
    return wish


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One text a name; what came as `name[]` is joined with commas."""
    form: dict[str, str] = {}
    for given, text in pairs:
        name = given.removesuffix("[]")
        # `name[]` is how form libraries send a list, one part an item; only two of the fields are lists
        is_list = name != given and name in (_GRANULARITIES, _TEMPERATURE)
        if is_list and name in form:
            form[name] += f",{text}"
        elif given in form or (is_list is False and name != given):
            raise invalid(given[:64], f"`{given[:64]}` is given twice, or takes no list.")
        else:
            form[name] = text
    return form


def _agree(wish: Wish, form: Mapping[str, str]) -> None:
    """Fields that need others."""
    is_verbose = wish.response_format == "verbose_json"
    if _GRANULARITIES in form and not is_verbose:
        raise invalid(_GRANULARITIES, f"`{_GRANULARITIES}` needs `response_format=verbose_json`.")
    if wish.diarize and not (is_verbose and wish.words):
        text = f"`diarize` needs `response_format=verbose_json` and `{_GRANULARITIES}=word`."
        raise invalid("diarize", text)
    for name in ("min_speakers", "max_speakers"):
        if name in form and not wish.diarize:
            raise invalid(name, f"`{name}` needs `diarize=true`.")
    if int(form.get("min_speakers", "1")) > int(form.get("max_speakers", "1000")):
        raise invalid("min_speakers", "`min_speakers` is more than `max_speakers`.")


def _one_of(*words: str) -> Check:
    def check(name: str, text: str) -> None:
        if text not in words:
            raise invalid(name, f"Invalid `{name}`: `{text[:64]}` is not one of {', '.join(words)}.")

    return check


def _boolean(name: str, text: str) -> None:
    if text.lower() not in ("true", "false", "1", "0"):
        raise invalid(name, f"Invalid `{name}`: `{text[:64]}` is not `true` or `false`.")


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "1")


def _count(name: str, text: str) -> None:
    if not text.isascii() or not text.isdigit() or not 1 <= len(text) <= 4 or int(text) < 1:
        raise invalid(name, f"Invalid `{name}`: `{text[:64]}` is not a number from 1 to 9999.")


def _numbers(low: float, high: float) -> Check:
    def check(name: str, text: str) -> None:
        for part in text.split(","):
            try:
                number = float(part)
            except ValueError:
                number = math.nan
            if not low <= number <= high:
                raise invalid(name, f"Invalid `{name}`: `{part[:64]}` is not a number from {low:g} to {high:g}.")

    return check


def _granularities(name: str, text: str) -> None:
    for part in text.replace(" ", "").split(","):
        _one_of("segment", "word")(name, part)


def _language(name: str, text: str) -> None:
    if text not in CODES:
        raise invalid(name, f"Invalid `{name}`: `{text[:64]}` is not a language code such as `en`, `de` or `zh-hans`.")


def _text(name: str, text: str) -> None:
    if "\0" in text:
        raise invalid(name, f"Invalid `{name}`: it has a zero character.")


def _name(name: str, text: str) -> None:
    if not text or len(text) > 200 or not text.isprintable():
        raise invalid(name, f"Invalid `{name}`: want 1 to 200 printable characters.")


# A field that would change nothing here is checked all the same: a client's mistake is found before it costs money.
_CHECKS: Mapping[str, Check] = {
    "model": _name,
    "vad_model": _one_of("silero", "whisperx-pyannet"),
    "alignment_model": _one_of("mms_fa", "tdnn_ffn", "gentle"),
    "language": _language,
    "prompt": _text,
    _TEMPERATURE: _numbers(0, 1),
    "response_format": _one_of(*FORMATS),
    _GRANULARITIES: _granularities,
    "diarize": _boolean,
    "min_speakers": _count,
    "max_speakers": _count,
    "preprocessing": _one_of("none", "dynamic", "soft_dynamic", "bass_dynamic"),
    "diarization_model": _one_of("pyannote"),
    "skip_vad": _boolean,
    "max_clip_len": _numbers(0.1, 86_400),
}
