"""The handlers: take a recording, and show what became of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runner.server import multipart
from runner.server.audio.able import check_able, listed
from runner.server.audio.errors import invalid
from runner.server.audio.fields import wish_of
from runner.server.audio.records import StoredAudioJob
from runner.server.audio.store import AudioJobStore
from runner.server.endpoint import ApiCall
from runner.server.errors import ApiError
from runner.server.site import MAIN_OWNER

MAX_FILE_BYTES = 10**9  # "1 GB", Fireworks "Transcribe audio" (2026-11-21)
_FORM_BYTES = 1 << 20
ENDPOINTS = ("audio-prod", "audio-turbo")


def account_of(owner: str) -> str:
    """The account that a token speaks for."""
    return "runner" if owner == MAIN_OWNER else f"runner-{owner}"


class Submissions:
    """`POST /v1/audio/...`: one recording becomes one job."""

    def __init__(self, jobs: AudioJobStore, task: str) -> None:
        self._jobs = jobs
        self._task = task

    async def submit(self, call: ApiCall) -> Response:
        endpoint = call.query_params["endpoint_id"]
        if endpoint not in ENDPOINTS:
            raise invalid("endpoint_id", f"Invalid `endpoint_id`: `{endpoint[:64]}` is not one of {listed(ENDPOINTS)}.")
        # refused by what it says of itself, before a gigabyte is read; one that lies is cut off by `receive`
        declared = call.headers.get("content-length", "0")
        too_large = ApiError(413, f"The file has more than {MAX_FILE_BYTES:,} bytes.", param="file")
        if declared.isdigit() and int(declared) > MAX_FILE_BYTES + _FORM_BYTES:
            raise too_large
        part = call.site.home.incoming()
        try:
            form = await multipart.receive(
                call.headers.get("content-type", ""), call.stream(), part, max_bytes=MAX_FILE_BYTES, hashing=True
            )
            job = await run_in_threadpool(self._keep, call, part, form, endpoint)
        except multipart.UploadTooLarge as error:
            raise ApiError(413, f"Too large: {error}.") from error
        except multipart.BadUpload as error:
            raise ApiError(400, f"Invalid upload: {error}.") from error
        finally:
            part.unlink(missing_ok=True)
        call.site.wake_audio()
        return _json(
            {
                "status": "submitted",
                "batch_id": job.id,
                "account_id": job.account,
                "endpoint_id": job.endpoint_id,
                "message": "Request submitted successfully",
            }
        )

    def _keep(self, call: ApiCall, part: Path, form: multipart.UploadForm, endpoint: str) -> StoredAudioJob:
        site = call.site
        _check_file(form, part)
        wish = wish_of(self._task, form.pairs)
        check_able(site.asr_engines, wish)
        job = StoredAudioJob(
            id=site.new_id("b-", 24),
            owner=call.owner,
            account=account_of(call.owner),
            endpoint_id=endpoint,
            wish=wish,
            filename=form.filename,
            size_bytes=form.size_bytes,
            sha256=form.sha256,
            created_at=site.now(),
        )
        # the bytes before the record: the worker may take the job at once
        path = site.home.recording(job.id)
        part.replace(path)
        try:
            self._jobs.add(job)
        except BaseException:
            path.unlink()
            raise
        site.log.audio_job_created()
        return job


class Results:
    """`GET .../batch_job/{batch_id}`: where a job is, and its result."""

    def __init__(self, jobs: AudioJobStore) -> None:
        self._jobs = jobs

    def get(self, call: ApiCall) -> Response:
        found = self._jobs.get(call.owner, call.path_params["batch_id"])
        if found is None or found[0].account != call.path_params["account"]:
            raise no_such_job(call.path_params["batch_id"])
        job, body = found
        if not job.status:
            return _json(job_shape(job.id, "processing"))
        return _json(job_shape(job.id, job.status, job.message, job.content_type, body))


def _check_file(form: multipart.UploadForm, part: Path) -> None:
    if form.file is None:
        raise invalid("file", "Missing `file`: send the recording as a multipart file.")
    if not form.filename:
        with part.open("rb") as file:
            start = file.read(8).lower()
        # the real service fetches them; a server on loopback that did would be a way into the user's network
        if start.startswith((b"http://", b"https:/")):
            raise invalid("file", "This server fetches no URLs: send the recording itself as `file`.")
        raise invalid("file", "`file` must be a multipart file with a file name.")
    if form.size_bytes == 0:
        raise invalid("file", "The recording is empty.")


def job_shape(
    job_id: str, status: str, message: str | None = None, content_type: str | None = None, body: str | None = None
) -> dict[str, object]:
    return {"status": status, "batch_id": job_id, "message": message, "content_type": content_type, "body": body}


def no_such_job(job_id: str) -> ApiError:
    return ApiError(404, f"Batch job not found: {job_id[:128]}")


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
