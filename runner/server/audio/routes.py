"""The routes of the audio batch API. They stand before the control plane's, which takes every other account path."""

from __future__ import annotations

from starlette.routing import Route

from runner.server.audio.errors import MANNERS
from runner.server.audio.jobs import Looks, Submissions
from runner.server.audio.store import AudioJobs
from runner.server.gate import Gate, Handler, threaded
from runner.server.site import Site


def routes(site: Site) -> list[Route]:
    """One Gate per route; a path's name in logs and faults is its template."""
    jobs = AudioJobs(site.world)

    def route(method: str, path: str, handler: Handler, losing: str = "") -> Route:
        return Route(path, Gate(site, f"{method} {path}", handler, MANNERS, losing=losing), methods=[method])

    look = threaded(Looks(jobs).look)
    return [
        route("POST", "/v1/audio/transcriptions", Submissions(jobs, "transcribe").submit, "lose_create_reply"),
        route("POST", "/v1/audio/translations", Submissions(jobs, "translate").submit, "lose_create_reply"),
        route("GET", "/v1/accounts/{account}/batch_job/{batch_id}", look),
    ]
