"""The one call that pays: a job under an id of ours, so that on any doubt it is asked for, compared, taken.

Source: contract sections 5.1, 5.4, 6 and 8, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.errors import NotFound, OutcomeUnknown, Refused, RemoteError
from runner.job.observed import Observed
from runner.remotes.fireworks import wire
from runner.remotes.fireworks.account import Account
from runner.remotes.fireworks.datasets import conflict
from runner.remotes.fireworks.jobs import Jobs
from runner.remotes.fireworks.names import ids_of, last
from runner.remotes.fireworks.profile import CHAT
from runner.remotes.transport.replies import object_in, plain, text_in
from runner.remotes.vendor import Input, Submission, Uploaded

_MIRRORED = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "top_k": "topK", "n": "n"}
_FRACTIONS = frozenset({"temperature", "top_p"})
_OPTIONS = ("precision", "placement")
_DEFAULT_WINDOW = 24


class Creates:
    """Creates of jobs in one account."""

    def __init__(self, account: Account, jobs: Jobs) -> None:
        self._account = account
        self._http = account.http
        self._jobs = jobs

    def submit(self, submission: Submission, content: Input | None) -> Observed:
        """Create the job, or find the one that an earlier create made.

        Raises Refused (`conflict`) when other work stands under its id, OutcomeUnknown when nobody can tell.
        """
        job_id = ids_of(submission.name).job_id
        body = self._body(submission, content)
        try:
            answer = self._create(job_id, body, submission.window_hours)
        except OutcomeUnknown as unknown:
            return self._take_if_there(job_id, body, unknown)
        except Refused as refused:
            if refused.status != 409:
                raise
            return self._take_if_there(job_id, body, refused)
        return self._ours(answer, job_id, body)

    def _body(self, submission: Submission, content: Input | None) -> dict[str, Any]:
        if submission.endpoint != CHAT:
            raise Refused(f"`{submission.endpoint}` has no batches here; only `{CHAT}` does", code="endpoint")
        body: dict[str, Any] = {
            "model": submission.model,
            "outputDatasetId": self._account.dataset_name(ids_of(submission.name).output_dataset_id),
            "maxJobDuration": wire.duration_of(submission.window_hours),
            "displayName": wire.display_name_of(submission.label),
        }
        if submission.continued_from:
            body["continuedFromJobName"] = self._account.job_name(submission.continued_from)
        elif isinstance(content, Uploaded):
            body["inputDatasetId"] = self._account.dataset_name(content.ref)
        else:
            raise Refused("a job needs an input dataset, or a job to continue", code="no_input")
        parameters = mirrored(submission.params)
        if parameters:
            body["inferenceParameters"] = parameters
        if submission.system_prompt:
            body["systemPrompt"] = submission.system_prompt  # every row starts with it: there it only says the same
        strange = sorted(submission.options.keys() - set(_OPTIONS))
        if strange:
            known = ", ".join(f"`{option}`" for option in _OPTIONS)
            raise Refused(f"`options` holds `{strange[0]}`", code="option", hint=f"known are {known}")
        return {**body, **{key: value for key, value in submission.options.items() if value not in (None, "", {})}}

    def _create(self, job_id: str, body: Mapping[str, Any], window_hours: int) -> Any:
        """Sent once. A server that does not know windows is asked without one where that means the same."""
        path, query = self._account.jobs, {"batchInferenceJobId": job_id}
        try:
            return self._http.create(path, body, query)
        except Refused as refused:
            if refused.status != 400 or not _is_about_the_window(refused):
                raise
            if window_hours != _DEFAULT_WINDOW:
                raise Refused(
                    f"this server does not know completion windows, so `window: {window_hours}h` cannot be asked for: "
                    f"{refused.message}",
                    status=400,
                    code="window",
                    hint=f"use `window: {_DEFAULT_WINDOW}h`, the only one it has",
                ) from refused
        return self._http.create(path, {key: value for key, value in body.items() if key != "maxJobDuration"}, query)

    def _take_if_there(self, job_id: str, body: Mapping[str, Any], doubt: RemoteError) -> Observed:
        """The job under our id. What nobody can see stays unknown; settling it may look again later."""
        try:
            raw = self._account.shown_job(job_id)
        except NotFound as gone:
            remains = self._jobs.remains(job_id) if isinstance(doubt, Refused) else None
            if remains is not None:
                return remains
            words = f"job `{job_id}` is not there after its create: {doubt.message}"
            raise OutcomeUnknown(words, status=doubt.status) from gone
        except RemoteError as blind:
            words = f"it is not known whether job `{job_id}` was created: {doubt.message}; {blind.message}"
            raise OutcomeUnknown(words, status=doubt.status) from blind
        return self._ours(raw, job_id, body)

    def _ours(self, answer: Any, job_id: str, body: Mapping[str, Any]) -> Observed:
        """The job of an answer, if it is the one we asked for. A parameter is never compared: the id holds them."""
        raw = object_in(answer, "a create of a job")
        if last(text_in(raw, "name")) != job_id:
            raise OutcomeUnknown(f"the answer to a create names another job: {plain(text_in(raw, 'name'))}")
        key = "continuedFromJobName" if "continuedFromJobName" in body else "inputDatasetId"
        wanted = {"model": body["model"], key: last(body[key])}
        found = {"model": text_in(raw, "model"), key: last(text_in(raw, key))}
        if "/" not in wanted["model"]:
            found["model"] = last(found["model"])  # a bare name comes back as a full one
        if found != wanted:
            raise conflict(f"job `{job_id}`", wanted, found)
        return self._jobs.observed(raw)

    def find(self, submission: Submission) -> Observed | None:
        """The job that an earlier create of this very submission made, or what it left; None when there is neither.

        Raises Refused (`conflict`) when other work stands under its id.
        """
        job_id = ids_of(submission.name).job_id
        try:
            raw = self._account.shown_job(job_id)
        except NotFound:
            return self._jobs.remains(job_id)
        origin = (
            {"continuedFromJobName": submission.continued_from}
            if submission.continued_from
            else {"inputDatasetId": ids_of(submission.name).input_dataset_id}
        )
        return self._ours(raw, job_id, {"model": submission.model, **origin})


def mirrored(params: Mapping[str, object]) -> dict[str, int | float]:
    """The row parameters that the job knows as well, with equal values, so that precedence never matters."""
    found: dict[str, int | float] = {}
    for key, field in _MIRRORED.items():
        value = params.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if key in _FRACTIONS or float(value).is_integer():
            found[field] = value if key in _FRACTIONS else int(value)
    return found


def _is_about_the_window(refused: Refused) -> bool:
    words = refused.message.lower().replace("_", "")
    return "maxjobduration" in words and "unknown" in words
