"""The lines of a batch file as requests: their bodies go as they stand, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from runner.data.rows import Block
from runner.job.body import BodyPlan, Shape
from runner.job.project import Job
from runner.job.reading import Misfit, named, told
from runner.job.ready import endpoint_of
from runner.mending import NOT_SO


class _Line(msgspec.Struct, gc=False):
    custom_id: str
    body: msgspec.Raw
    method: str = "POST"
    url: str | None = None


class One(msgspec.Struct, frozen=True):
    """One line as a request."""

    custom_id: str
    body: bytes


_line = msgspec.json.Decoder(_Line).decode
_any = msgspec.json.Decoder().decode
_FORM = "a line is `{custom_id, method, url, body}`, or `{custom_id, body}`"


class ReadyLines:
    """Reads lines for a job: whom they ask is held to what the job asks."""

    def __init__(self, job: Job, body: BodyPlan) -> None:
        self._endpoint = job.model.endpoint
        (slot,) = body.slots
        self._made: Shape = slot.shapes[0] or str
        given = job.prompt.body
        self._head = given.head if given is not None else None

    def read(self, block: Block) -> tuple[list[str], list[bytes]]:
        """The ids and bodies of the lines of a block. Raises one of NOT_SO where something is wrong with one."""
        if block.texts is None or block.nulled:
            raise ValueError("line by line")
        lines = [_line(text) for text in block.texts]
        # wrong UTF-8 in texts that are skipped would pass
        if not all(map(bytes.isascii, block.texts)):
            for text in block.texts:
                text.decode()
        urls = {line.url for line in lines if line.url}
        if not all(line.custom_id.strip() and line.method == "POST" for line in lines):
            raise ValueError("line by line")
        if not all(endpoint_of(url) == self._endpoint for url in urls):
            raise ValueError("line by line")
        made = self._made
        return [line.custom_id for line in lines], [made(str(line.body, "utf-8")).encode() for line in lines]

    def each(self, block: Block) -> Iterator[tuple[int, int, One | Misfit]]:
        """(line, position, request) of each line, or what is wrong with it: slow, for blocks with something odd."""
        texts = [msgspec.json.encode(row) for row in block.values] if block.texts is None else block.texts
        for line, number, text in zip(block.lines, block.numbers, texts, strict=True):
            found: One | Misfit
            try:
                found = self._alone(text, block.nulled.get(number, ()))
            except Misfit as error:
                found = error
            except NOT_SO as error:
                found = Misfit(f"the line is not JSON: {str(error).removeprefix('JSON is malformed: ')}")
            yield line, number, found

    def _alone(self, text: bytes, nulled: Sequence[str]) -> One:
        """Raises Misfit with what is wrong with a line, or one of NOT_SO."""
        held = _any(text.decode())
        if nulled:
            raise Misfit(f"`{nulled[0]}` holds NaN or infinity, which cannot be sent")
        if not isinstance(held, dict):
            raise Misfit(f"the line is {told(held)}, and must be an object", _FORM)
        custom_id, body, url = held.get("custom_id"), held.get("body"), held.get("url")
        if custom_id is None:
            raise Misfit("the line has no `custom_id`", _FORM)
        if not isinstance(custom_id, str) or not custom_id.strip():
            raise Misfit(f"`custom_id` is {told(custom_id)}, and must be a text that is not empty")
        if not isinstance(body, dict):
            raise Misfit("the line has no `body`" if body is None else f"`body` is {told(body)}, not an object", _FORM)
        if held.get("method", "POST") != "POST":
            raise Misfit(f"`method` is {named(held['method'])}, and a batch takes `POST` alone")
        if url is not None and (not isinstance(url, str) or endpoint_of(url) != self._endpoint):
            raise Misfit(f"the line asks {named(url)}, and {self._asked()}", self._way_out(url))
        return One(custom_id, self._made(str(_line(text).body, "utf-8")).encode())

    def _asked(self) -> str:
        if self._head is not None:
            return f"the first one, at `{self._head}`, asks `{self._endpoint}`"
        return f"the job's model is asked at `{self._endpoint}`"

    def _way_out(self, url: object) -> str:
        if self._head is not None:
            return "a batch asks one endpoint: put the others into a file and a job of their own"
        return f"give the model `endpoint: {str(url)[:40]}`" if isinstance(url, str) else ""
