"""The online side of an API in OpenAI's style: one POST a request, answered at once."""

from __future__ import annotations

from collections.abc import Callable

from runner.errors import OutcomeUnknown
from runner.job.capabilities import Capabilities
from runner.job.observed import Origin
from runner.job.project import ProviderBlock
from runner.remotes.audio import Heard, Receipt
from runner.remotes.online import PARALLELISM, Answered, Request, answer_line, with_model
from runner.remotes.transport.client import HttpClient
from runner.remotes.transport.http import Http
from runner.remotes.transport.pace import Pace
from runner.remotes.transport.replies import plain, request_id_of


class OnlineCaller(HttpClient):
    """Implements `remotes.transport.calls.Caller`. Safe to share between threads.

    path_of: from an endpoint to its path below the base URL. writes_model: the bodies of a batch leave the model out.
    """

    def __init__(
        self,
        *,
        http: Http,
        who: str,
        card: Capabilities,
        origin: Origin,
        pace: Pace,
        parallelism: int,
        path_of: Callable[[str], str],
        writes_model: bool = False,
    ) -> None:
        super().__init__(http, origin)
        self.card = card
        self.pace = pace
        self.parallelism = parallelism
        self._who = who
        self._path_of = path_of
        self._writes_model = writes_model

    def submit(self, request: Request) -> Answered:
        body = with_model(request.body, request.model) if self._writes_model else request.body
        reply = self._http.ask(self._path_of(request.endpoint), body)
        try:
            line = answer_line(request.custom_id, reply.status, request_id_of(reply.headers) or "", reply.body)
        except ValueError as error:
            start = plain(reply.body[:1024].decode("utf-8", "replace"))
            raise OutcomeUnknown(
                f"`{self._who}` answered {reply.status} with something that is not JSON: {start}", status=reply.status
            ) from error
        return Answered(line, reply.headers)

    def look(self, receipt: Receipt) -> Heard:
        raise AssertionError("what is answered at once is never looked at")


def caller_of(
    block: ProviderBlock,
    *,
    http: Http,
    card: Capabilities,
    origin: Origin,
    path_of: Callable[[str], str],
    parallelism: int = PARALLELISM,
    writes_model: bool = False,
) -> OnlineCaller:
    """A client of the online side of a provider, as fast as its block allows."""
    return OnlineCaller(
        http=http,
        who=block.name,
        card=card,
        origin=origin,
        pace=Pace(http.clock, block.rpm, block.tpm),
        parallelism=block.parallelism or parallelism,
        path_of=path_of,
        writes_model=writes_model,
    )
