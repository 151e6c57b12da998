"""The switches of the fault lab: which faults there are, and which are on.

One object is asked by all layers, from any thread. Set them with `--fault NAME[=VALUE]` or `PUT /_faults`. A value is a
number, and options follow after commas: `rate_limit=3,retry_after=0.2,route=POST /v1/batches`. In JSON:
`{"rate_limit": {"value": 3, "retry_after": 0.2}}`; `null`, `false` and `0` switch off.
"""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from runner.errors import UsageError

_ROUTE = {"route": "*"}
# `share` below 1 spares the others: of every hundred requests only so many are hit, evenly, until N have been
_CALLS = {**_ROUTE, "share": 1.0}
_SHARE = "`share=0.3`: of a hundred only thirty, until N are"
_ALWAYS_THESE = "always the same ones, and those whose file name contains one of `match` (separated by spaces)"


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch: what its number means, and the options it takes with their defaults."""

    name: str
    unit: str
    help: str
    options: Mapping[str, Any] = field(default_factory=dict)
    default: float = 1.0


FAULTS = {
    fault.name: fault
    for fault in (
        Switch("lose_create_reply", "N", "the next N creates are kept, but the connection drops with no reply", _ROUTE),
        Switch("lose_upload_reply", "N", "the next N uploads are kept, but the connection drops with no reply", _ROUTE),
        Switch("lose_answer", "N", f"the next N online calls are answered, but the reply is lost; {_SHARE}", _CALLS),
        Switch(
            "fail_before", "N", f"the next N requests answer 500 and do nothing; {_SHARE}", {**_CALLS, "status": 500}
        ),
        Switch(
            "fail_after",
            "N",
            f"the next N requests do their work, then answer 500; {_SHARE}",
            {**_CALLS, "status": 500},
        ),
        Switch(
            "rate_limit",
            "N",
            f"the next N requests answer 429; `retry_after` in seconds (also sent as retry-after-ms); {_SHARE}",
            {**_CALLS, "retry_after": 1.0, "code": "rate_limit_exceeded"},
        ),
        Switch(
            "requests_per_minute", "N", "online calls beyond so many a minute, of one caller and model, answer 429"
        ),
        Switch("tokens_per_minute", "N", "the same by tokens, counted as a quarter of the bytes of a body"),
        Switch("drop", "N", f"the next N requests are read, lose their connection and do nothing; {_SHARE}", _CALLS),
        Switch(
            "truncate_download",
            "N",
            "the next N downloads stop at the fraction `at` of their Content-Length",
            {**_ROUTE, "at": 0.5},
        ),
        Switch("slow", "seconds", "every answer waits this long", _ROUTE),
        Switch("late_output_id", "N", "a completed batch shows no result files in its first N polls"),
        Switch("empty_string_ids", "switch", "a file id that is not there is an empty string, not null"),
        Switch("no_has_more", "switch", "lists leave `has_more` out"),
        Switch("unknown_status", "N", "the next N polls of a batch show the status `word`", {"word": "rebalancing"}),
        Switch("list_lag", "seconds", "a new batch is in the list only after this long"),
        Switch("strict_file", "switch", "a create with an unknown input file answers 404 at once"),
        Switch("file_invisible", "N", "the next N batches fail validation: their file cannot be found"),
        Switch(
            "enqueued_tokens", "tokens", "batches fail validation while more input tokens than this are enqueued"
        ),
        Switch("stuck_validating", "switch", "batches stay in validation"),
        Switch("stuck_cancelling", "switch", "cancelled batches stay in cancelling"),
        Switch(
            "expire_at",
            "fraction",
            "the next `count` batches expire once this fraction of their rows is done (0 is allowed)",
            {"count": 1},
            default=0.5,
        ),
        Switch(
            "row_error",
            "fraction",
            "this fraction of rows, always the same ones, answers `status`; rows whose custom_id contains one of"
            " `match` (separated by spaces) always do; `status=0` is a row that never got an answer",
            {"status": 500, "match": ""},
        ),
        Switch(
            "invalid_answer",
            "fraction",
            "this fraction of rows, always the same ones, and those whose custom_id contains one of `match` (separated"
            " by spaces) are answered with JSON that no schema asks for; `times=2`: only the first two times",
            {"match": "", "times": 0},
        ),
        Switch("duplicate_lines", "N", "the first N lines of an output file come twice"),
        Switch("missing_lines", "N", "the first N lines of an output file are left out"),
        Switch("unicode", "switch", "answers begin with U+2028, U+2029, U+0085 and a form feed"),
        Switch("hold", "fraction", "batches stop once this fraction of their rows is done", default=0.0),
        Switch("row_delay", "seconds", "every row takes this much longer"),
        Switch("stuck_pending", "switch", "Fireworks: accepted jobs stay in PENDING"),
        Switch("stuck_creating", "switch", "Fireworks: accepted jobs stay in CREATING"),
        Switch("stuck_deleting", "switch", "Fireworks: deleted jobs stay in DELETING_CLEANING_UP"),
        Switch("waiting_on_capacity", "switch", "Fireworks: running jobs say `waitingOnCapacity` and make no progress"),
        Switch(
            "ends_as", "N", "Fireworks: the next N jobs, if they expire, end in `state`", {"state": "EARLY_STOPPED"}
        ),
        Switch("dataset_uploading", "N", "Fireworks: datasets filled from now on stay UPLOADING for N polls"),
        Switch("lenient_example_count", "switch", "Fireworks: datasets may be created without `exampleCount`"),
        Switch("no_max_job_duration", "switch", "Fireworks: `maxJobDuration` is a field that the server does not know"),
        Switch("ignore_lineage", "switch", "Fireworks: `downloadLineage` is ignored"),
        Switch("no_error_file", "switch", "Fireworks: `error-data` is not among the files of a dataset"),
        Switch("signed_url_seconds", "seconds", "Fireworks: signed URLs live this long", default=0.0),
        Switch(
            "hostile_urls",
            "switch",
            "Fireworks: signed URLs misbehave by `kind`: `names` (`../` in file names), `host` (another host),"
            " `redirect` (to the address `to`), `challenge` (storage asks for the key), `gzip` (a small body that"
            " inflates hugely)",
            {"kind": "names", "host": "storage.invalid", "to": "http://169.254.169.254/latest/meta-data/"},
        ),
        Switch("audio_processing", "N", "Audio: every job shows `processing` in its first N polls"),
        Switch("audio_missing", "N", "Audio: every job answers 404 to its first N polls"),
        Switch(
            "audio_status", "N", "Audio: every job shows the status `word` in its first N polls", {"word": "queued"}
        ),
        Switch(
            "audio_failed",
            "fraction",
            f"Audio: this share of recordings ends in the status `word`; {_ALWAYS_THESE}",
            {"word": "failed", "message": "The recording could not be processed (a fault).", "match": ""},
        ),
        Switch(
            "audio_error_body",
            "fraction",
            "Audio: this share of recordings completes with a JSON body that is an error: `error` is an `object`, or a"
            f" `text`; {_ALWAYS_THESE}",
            {"form": "object", "match": ""},
        ),
        Switch(
            "audio_no_body",
            "fraction",
            f"Audio: this share of recordings completes without a body; {_ALWAYS_THESE}",
            {"match": ""},
        ),
        Switch(
            "audio_content_type",
            "fraction",
            f"Audio: this share of recordings completes with the content type `type`; {_ALWAYS_THESE}",
            {"type": "application/octet-stream", "match": ""},
        ),
    )
}  # fmt: skip
_ZERO_COUNTS = {"hold", "expire_at", "signed_url_seconds"}  # for these 0 is a value, not off


class Setting(msgspec.Struct):
    """A fault that is on. `value` of a counted one goes down by one at each use."""

    value: float
    options: dict[str, Any] = {}
    seen: int = 0

    def number(self, option: str) -> float:
        return float(self.options[option])

    def text(self, option: str) -> str:
        return str(self.options[option])

    def is_spared(self) -> bool:
        """Whether the next one, of those that are meant, is not of the `share` that is hit. Counts it."""
        share = float(self.options.get("share", 1.0))
        self.seen += 1
        # evenly, and the same ones each time: what drew lots could not be counted by a test
        return int(self.seen * share + 1e-9) == int((self.seen - 1) * share + 1e-9)

    def means(self, route: str) -> bool:
        """Whether it is for this route (`POST /v1/batches`); its own may hold `*`."""
        return fnmatch.fnmatchcase(route, str(self.options.get("route", "*")))


class FaultSwitches:
    """The faults that are on now. Safe to ask from any thread."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._on: dict[str, Setting] = {}
        for word in words:
            self._on.update(_read(*parsed(word)))

    def __bool__(self) -> bool:
        """Whether any is on: what every row asks first."""
        return bool(self._on)

    def get(self, name: str) -> Setting | None:
        """The setting of a switch, left as it is."""
        return self._on.get(name)

    def take(self, name: str, route: str = "") -> Setting | None:
        """Use a counted fault once, if it is on and means this route (`POST /v1/batches`, with `*`)."""
        # without the lock: every request asks, and mostly nothing is on
        if name not in self._on:
            return None
        with self._lock:
            setting = self._on.get(name)
            if setting is None or not setting.means(route) or setting.is_spared():
                return None
            # a copy: the caller reads it after others have counted on
            taken = Setting(setting.value, setting.options)
            setting.value -= 1
            if setting.value <= 0:
                del self._on[name]
            return taken

    def take_expiry(self) -> float | None:
        """The fraction at which a batch created now is to expire."""
        with self._lock:
            setting = self._on.get("expire_at")
            if setting is None:
                return None
            left = float(setting.options["count"]) - 1
            setting.options = {**setting.options, "count": left}
            if left <= 0:
                del self._on["expire_at"]
            return setting.value

    def change(self, wanted: Mapping[str, Any]) -> None:
        """Set or switch off faults by name; the others stay. Raises UsageError, then nothing has changed."""
        # all are read before one is set: a typing error in the third must not leave the first two on
        read: dict[str, Setting | None] = {}
        for name, value in wanted.items():
            read[name] = _read(name, value).get(name)
        with self._lock:
            for name, setting in read.items():
                if setting is None:
                    self._on.pop(name, None)
                else:
                    self._on[name] = setting

    def shown(self) -> dict[str, Any]:
        with self._lock:
            return {name: {"value": on.value, **on.options} for name, on in self._on.items()}


def parsed(word: str) -> tuple[str, Any]:
    """`NAME[=VALUE][,option=value...]` as a name and the JSON form of its value."""
    first, *more = word.split(",")
    name, equals, text = first.partition("=")
    value: dict[str, Any] = {"value": _scalar(text)} if equals else {}
    for option in more:
        key, _, text = option.partition("=")
        value[key] = _scalar(text)
    return name, value or True


def _scalar(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text


def _read(name: str, value: Any) -> dict[str, Setting]:
    """The setting meant; empty where the fault is switched off."""
    fault = FAULTS.get(name)
    if fault is None:
        raise UsageError(f"unknown fault `{name}`", hint="`runner serve --list-faults` names them all")
    options = dict(fault.options)
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - set(options) - {"value"})
        if unknown:
            raise UsageError(f"fault `{name}` has no option `{unknown[0]}`", hint=f"it takes {_options(fault)}")
        options.update({key: given for key, given in value.items() if key != "value"})
        # with `match` alone only what is named is hit, and no share of the rest
        value = value.get("value", fault.default if "match" not in value else 0)
    if value is True:
        value = fault.default
    elif value is None or value is False or (value == 0 and name not in _ZERO_COUNTS and not options.get("match")):
        return {}
    if not isinstance(value, (int, float)) or value < 0:
        raise UsageError(f"fault `{name}` takes a number ({fault.unit}), not `{value}`")
    return {name: Setting(float(value), options)}


def _options(fault: Switch) -> str:
    return ", ".join(f"`{name}`" for name in fault.options) or "none"
