"""What can be wrong with a result file: each fault makes bytes of good lines.

A fault is told the lines of one file, without newlines, and those of the other file of the same batch where they are
known. It may not look at anything else, so it does the same whoever hands the file out.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Lines = Sequence[bytes]
Spoil = Callable[[Lines, Lines], bytes | None]  # None: the file is not there (404)

OUTPUT, ERROR = "output", "error"
BOTH = (OUTPUT, ERROR)
STRANGER = "stranger-AAAAAAAAAAAAAAAAAAAAAA"  # of the form of our ids, and nobody's
DEEP = b"[" * 100_000 + b"]" * 100_000
DIGITS = b"9" * 100_000
PAGE = b"<!doctype html>\n<html><body>\n<h1>502 Bad Gateway</h1>\n</body></html>\n"
_TEXTS = (b"echo: ", b"This row fails")  # what an answer and an error begin with


@dataclass(frozen=True)
class Fault:
    """One way to spoil a file. says: what the warning about it has to hold, if there is one."""

    name: str
    spoil: Spoil
    kinds: tuple[str, ...] = BOTH
    says: str = ""


def whole(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def inject(line: bytes, raw: bytes) -> bytes:
    """Bytes put into the text of an answer, or of an error."""
    for text in _TEXTS:
        line = line.replace(text, text + raw, 1)
    return line


def edited(line: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The line as JSON, changed in place."""
    found = json.loads(line)
    change(found)
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


def id_of(line: bytes) -> str:
    return str(json.loads(line)["custom_id"])


def named(line: bytes, custom_id: Any) -> bytes:
    return edited(line, lambda found: found.update(custom_id=custom_id))


def _body(found: dict[str, Any]) -> dict[str, Any]:
    """The answer, with or without a wrapper around it."""
    response: dict[str, Any] = found["response"]
    return dict(response["body"]) if "body" in response else response


def _with_body(body: Any) -> Callable[[bytes], bytes]:
    """The line with another answer in it."""

    def change(found: dict[str, Any]) -> None:
        if "body" in found["response"]:
            found["response"]["body"] = body
        else:
            found["response"] = body

    return lambda line: edited(line, change)


def _with_message(message: Any) -> Callable[[bytes], bytes]:
    def change(found: dict[str, Any]) -> None:
        body = _body(found)
        body["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        if "body" in found["response"]:
            found["response"]["body"] = body

    return lambda line: edited(line, change)


def _with_status(status: Any) -> Callable[[bytes], bytes]:
    return lambda line: edited(line, lambda found: found["response"].update(status_code=status))


def _without_status(line: bytes) -> bytes:
    return edited(line, lambda found: found["response"].pop("status_code", None))


def _other(line: bytes) -> bytes:
    """The same row, answered (or refused) in other words."""
    return inject(line, b"OTHERWISE ")


def failed(line: bytes) -> bytes:
    """An error for the row of a line."""
    error = {"code": "made_up", "message": "This row fails too"}
    return json.dumps({"custom_id": id_of(line), "response": None, "error": error}).encode()


def answered(line: bytes, text: str) -> bytes:
    """An answer for the row of a line."""
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
    response = {"status_code": 200, "request_id": "x", "body": body}
    return json.dumps({"custom_id": id_of(line), "response": response, "error": None}).encode()


def _some(change: Callable[[bytes], bytes], count: int = 2) -> Spoil:
    """The first few lines changed, the others as they are."""
    return lambda lines, others: whole([*map(change, lines[:count]), *lines[count:]])


def _all(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda lines, others: whole(map(change, lines))


def _more(*made: bytes) -> Spoil:
    """Lines of nobody between the others."""
    return lambda lines, others: whole([lines[0], *made, *lines[1:]])


def _instead(body: bytes) -> Spoil:
    return lambda lines, others: body


def _of_another(line: bytes) -> bytes:
    """A line of some other batch of ours."""
    head, key = id_of(line)[:-22], id_of(line)[-22:]
    return named(line, head + ("B" if key[0] == "A" else "A") + key[1:])


def _first_id(other: str) -> Callable[[bytes], bytes]:
    return lambda line: b'{"custom_id":"%b",%b' % (other.encode(), line[1:])


def _last_id(other: str) -> Callable[[bytes], bytes]:
    return lambda line: b'%b,"custom_id":"%b"}' % (line[:-1], other.encode())


def _field(value: bytes) -> Callable[[bytes], bytes]:
    """A further field of the line, which nobody asked for."""
    return lambda line: b'%b,"more":%b}' % (line[:-1], value)


def _inner(value: bytes) -> Callable[[bytes], bytes]:
    """A further field beside an answer, or in an error."""
    marks = (b'"choices":', b'"message":')
    return lambda line: next(line.replace(m, b'"more":%b,%b' % (value, m), 1) for m in marks if m in line)


def _usage(value: bytes) -> Callable[[bytes], bytes]:
    return lambda line: line.replace(b'"prompt_tokens":', b'"prompt_tokens":%b,"was":' % value, 1)


def _asked(line: bytes) -> bytes:
    """A request, as it stands in the input."""
    body = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
    return json.dumps({"custom_id": id_of(line), "method": "POST", "url": "/v1/x", "body": body}).encode()


def _glued(lines: Lines, others: Lines) -> bytes:
    good = whole(lines)
    return good + good[: len(good) * 2 // 3]


def _cut(lines: Lines, others: Lines) -> bytes:
    return whole(lines)[: -len(lines[-1]) // 2]


def _lost_end(lines: Lines, others: Lines) -> bytes:
    """A line stops half way and the next one follows without a newline."""
    return lines[0][: len(lines[0]) // 2] + whole(lines[1:])


def _both_first_error(lines: Lines, others: Lines) -> bytes:
    return whole([*map(failed, lines[:2]), *lines])


def _both_last_error(lines: Lines, others: Lines) -> bytes:
    return whole([*lines, *map(failed, lines[:2])])


def _over_both(lines: Lines, others: Lines) -> bytes:
    """Errors for what the other file answers, and an answer for what fails here."""
    return whole([*map(failed, others[:2]), *lines, answered(lines[0], "echo: after all")])


def _pretty(lines: Lines, others: Lines) -> bytes:
    return b"".join(json.dumps(json.loads(line), indent=2).encode() + b"\n" for line in lines)


FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("rows missing", lambda lines, others: whole(lines[1:])),
        Fault("file gone", lambda lines, others: None),
        Fault("rows doubled", lambda lines, others: whole([*lines, *lines[:2]]), says="again"),
        Fault("other answers", lambda lines, others: whole([*lines, *map(_other, lines[:2])]), says="again"),
        Fault("reordered", lambda lines, others: whole(lines[::-1])),
        Fault(
            "foreign ids",
            lambda lines, others: whole([named(lines[0], STRANGER), named(lines[0], "stranger"), *lines]),
            says=".jsonl:1 (stranger-",
        ),
        Fault("renamed rows", _some(lambda line: named(line, STRANGER), 1), says="not in it"),
        Fault("ids in capitals", _some(lambda line: named(line, id_of(line).upper()), 1), says="not in it"),
        Fault("ids with blanks", _some(lambda line: named(line, f" {id_of(line)} "), 1), says="not in it"),
        Fault("surrogate in an id", _more(b'{"custom_id":"\\ud800-AAAAAAAAAAAAAAAAAAAAAA"}'), says="not in it"),
        Fault("id first of another", lambda lines, others: whole([_first_id(id_of(lines[1]))(lines[0]), *lines[1:]])),
        Fault(
            "id last of another",
            lambda lines, others: whole([_last_id(id_of(lines[1]))(lines[0]), *lines[1:]]),
            says="again",
        ),
        Fault("half last line", _cut, says="cannot be read"),
        Fault("no last newline", lambda lines, others: whole(lines)[:-1]),
        Fault("half line", _some(lambda line: line[: len(line) // 2], 1), says=".jsonl:1"),
        Fault("half line and no end", _lost_end, says=".jsonl:1"),
        Fault("two on a line", lambda lines, others: whole([lines[0] + b" " + lines[1], *lines[2:]]), says=".jsonl:1"),
        Fault("glued", _glued),
        Fault("CRLF", _all(lambda line: line + b"\r")),
        Fault("blank lines", _all(lambda line: line + b"\n \n\r\n")),
        Fault("BOM", lambda lines, others: b"\xef\xbb\xbf" + whole(lines)),
        Fault("BOMs", _all(lambda line: b"\xef\xbb\xbf" + line)),
        Fault("NUL behind lines", _all(lambda line: line + b"\0\0\0")),
        Fault("NUL in text", _all(lambda line: inject(line, b"a\0b"))),
        Fault("NULs for a line", _more(b"\0" * 4096), says=".jsonl:2"),
        Fault("bad UTF-8", _all(lambda line: inject(line, b"\xff\xfe\xc3"))),
        Fault("bad UTF-8 aside", _all(_field(b'"\xff\xc0\x80"'))),
        Fault("raw surrogates", _all(lambda line: inject(line, b"\xed\xa0\x80 \xed\xb2\x80"))),
        Fault("escaped surrogates", _all(lambda line: inject(line, b"\\ud800 \\udc80\\ud83d\\ude00"))),
        Fault("line separators", _all(lambda line: inject(line, "\u2028\u2029\u0085".encode()))),
        Fault("controls", _all(lambda line: inject(line, b"\x1c\x0b\x01\t"))),
        Fault("huge integer", _all(_field(DIGITS))),
        Fault("huge integer inside", _all(_inner(DIGITS))),
        Fault("huge integer in a repaired line", _all(lambda line: inject(_inner(DIGITS)(line), b"\xff"))),
        Fault("huge token count", _all(_usage(DIGITS)), (OUTPUT,)),
        Fault("1e400", _all(_inner(b"[1e400,-1e400]"))),
        Fault("1e400 in a repaired line", _all(lambda line: inject(_inner(b"1e400")(line), b"\xff"))),
        Fault("huge fraction", _all(_inner(b"0." + DIGITS))),
        Fault("NaN", _all(_inner(b"[NaN,Infinity,-Infinity]"))),
        Fault("nested", _some(_field(DEEP), 1), says="nested too deeply"),
        Fault("nested inside", _some(_inner(DEEP), 1), says="nested too deeply"),
        Fault("nested line", _more(DEEP), says="nested too deeply"),
        Fault("error before success", _both_first_error, (OUTPUT,), says="again"),
        Fault("success before error", _both_last_error, says="again"),
        Fault("over both files", _over_both, (ERROR,), says="again"),
        Fault("empty", _instead(b"")),
        Fault("newlines", _instead(b"\n\n\r\n")),
        Fault("zipped", lambda lines, others: gzip.compress(whole(lines), mtime=0)),
        Fault("page", _instead(PAGE)),
        Fault("JSON page", _instead(b'{"error":{"message":"Service unavailable","code":503}}')),
        Fault("UTF-16", lambda lines, others: whole(lines).decode().encode("utf-16")),
        Fault("array", lambda lines, others: b"[" + b",".join(lines) + b"]\n"),
        Fault("pretty", _pretty),
        Fault("other file", _all(_of_another)),
        Fault("not objects", _more(b"null", b"[]", b"17", b'"text"', b"true"), says=".jsonl:2: not a JSON object"),
        Fault("no ids", _some(lambda line: edited(line, lambda found: found.pop("custom_id")), 1), says="no `custom"),
        Fault("id a number", _some(lambda line: named(line, 7), 1), says="`custom_id` is not text"),
        Fault("id null", _some(lambda line: named(line, None), 1), says="`custom_id` is not text"),
        Fault("id a list", _some(lambda line: named(line, [id_of(line)]), 1), says="`custom_id` is not text"),
        Fault("requests", lambda lines, others: whole([*map(_asked, lines[:2]), *lines]), says="requests"),
        Fault("body null", _some(_with_body(None)), (OUTPUT,)),
        Fault("body text", _some(_with_body("plain words")), (OUTPUT,)),
        Fault("body a list", _some(_with_body([1])), (OUTPUT,)),
        Fault("choices empty", _some(_with_body({"choices": []})), (OUTPUT,)),
        Fault("choices null", _some(_with_body({"choices": None})), (OUTPUT,)),
        Fault("content null", _some(_with_message({"content": None})), (OUTPUT,)),
        Fault("content a number", _some(_with_message({"content": 7})), (OUTPUT,)),
        Fault("message null", _some(_with_message(None)), (OUTPUT,)),
        Fault("status missing", _some(_without_status), (OUTPUT,)),
        Fault("status text", _some(_with_status("200")), (OUTPUT,)),
        Fault("status a word", _some(_with_status("ok")), (OUTPUT,)),
        Fault("status null", _some(_with_status(None)), (OUTPUT,)),
        Fault("status huge", _some(_with_status(10**30)), (OUTPUT,)),
        Fault("status 500", _some(_with_status(500)), (OUTPUT,)),
        Fault("no response", _some(lambda line: edited(line, lambda found: found.pop("response"))), (OUTPUT,)),
        Fault(
            "response text", _some(lambda line: edited(line, lambda found: found.update(response="x")), 1), (OUTPUT,)
        ),
        Fault("error empty", _all(lambda line: edited(line, lambda found: found.update(error={}))), (OUTPUT,)),
    )
}
