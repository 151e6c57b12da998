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


class AtOnce(HttpClient):
    """Part of a `remotes.transport.caller.Caller` whose calls bring the answer back. Safe to share between threads.

    block: how fast it may be asked. parallelism: requests at once, where the block says nothing.
    """

    def __init__(
        self, block: ProviderBlock, *, http: Http, card: Capabilities, origin: Origin, parallelism: int = PARALLELISM
    ) -> None:
        super().__init__(http, origin)
        self.card = card
        self.pace = Pace(http.clock, block.rpm, block.tpm)
        self.parallelism = block.parallelism or parallelism
        self._who = block.name

    def look(self, receipt: Receipt) -> Heard:
        raise AssertionError("what is answered at once is never looked at")


class OnlineCaller(AtOnce):
    """Asks rows. path_of: from an endpoint to its path below the base URL. writes_model: the bodies of a batch leave
    the model out.
    """

    def __init__(
        self,
        block: ProviderBlock,
        *,
        http: Http,
        card: Capabilities,
        origin: Origin,
        path_of: Callable[[str], str],
        parallelism: int = PARALLELISM,
        writes_model: bool = False,
    ) -> None:
        super().__init__(block, http=http, card=card, origin=origin, parallelism=parallelism)
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
