"""The Fireworks audio batch API, a recording a call. The embedded server speaks it as well.

A submission has no id of ours and cannot be found again, so everything here is about knowing whether one was accepted.
"""

from __future__ import annotations

from urllib.parse import quote

from runner.errors import Refused
from runner.job.capabilities import Capabilities
from runner.job.observed import Origin
from runner.remotes.audio import Heard, Receipt, Recording
from runner.remotes.fireworks_audio import wire
from runner.remotes.fireworks_audio.profile import Profile
from runner.remotes.transport.client import HttpClient
from runner.remotes.transport.http import Http
from runner.remotes.transport.replies import mended_in
from runner.remotes.transport.sending import send


class FireworksAudioCaller(HttpClient):
    """Implements `remotes.transport.caller.Caller`. Safe to share between threads.

    account: whose recordings are looked for where a receipt does not say. endpoint_id: for recordings that name none.
    """

    def __init__(
        self,
        *,
        http: Http,
        who: str,
        profile: Profile,
        card: Capabilities,
        origin: Origin,
        account: str = "",
        endpoint_id: str = "",
    ) -> None:
        super().__init__(http, origin)
        self.card = card
        self.parallelism = profile.parallelism
        self.profile = profile
        self._who = who
        self._account = account
        self._endpoint_id = endpoint_id

    @property
    def pace(self) -> None:
        """It gives receipts."""

    def submit(self, recording: Recording) -> Receipt:
        endpoint_id = recording.endpoint_id or self._endpoint_id
        query = {"endpoint_id": endpoint_id} if endpoint_id else None
        return wire.receipt_in(send(self._http, recording, query))

    def look(self, receipt: Receipt) -> Heard:
        account = receipt.account or self._account
        if not account:
            raise Refused(
                f"`{self._who}` did not say whose recording `{receipt.remote_id}` is",
                hint="give the `account` of the provider",
            )
        path = f"/v1/accounts/{quote(account, safe='')}/batch_job/{quote(receipt.remote_id, safe='')}"
        return wire.heard_in(mended_in(self._http.get_body(path), self._who), receipt.remote_id)
