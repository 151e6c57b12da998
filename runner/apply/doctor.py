"""What may be wrong with this machine and this project, found out by looking: one finding for each thing.

Nothing is changed, but for a file beside the state that is locked and deleted again. Keys are told of by the names of
their variables; no part of a value is ever in a finding.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from runner import __version__, gittree
from runner.apply.remotes import Remotes
from runner.clock import RealClock
from runner.errors import AuthFailed, NotSent, RunnerError, SpecError
from runner.files import PRIVATE, size_below
from runner.hosts import is_loopback
from runner.job.capabilities import Content
from runner.job.project import Job, Project, ProviderBlock
from runner.remotes import addresses, registry
from runner.remotes.transport.origins import host_of
from runner.state.memory import Memory

DISTRIBUTION = "runner-batch"
PROVIDER_SECONDS = 15.0  # for one look at a remote, tries again included
LEAST_FREE, SCARCE_FREE = 200_000_000, 2_000_000_000  # bytes
FEWEST_FILES = 256  # open at once: twenty threads with connections and files
SKEW, BAD_SKEW = timedelta(seconds=60), timedelta(minutes=5)
SLOW_SYNC = 0.2  # seconds; every step of an apply waits for one
EXTRAS = {  # what a package that can be imported brings
    "server": ("starlette", "uvicorn", "python_multipart"),
    "local": ("xllamacpp",),
    "asr": ("pocketsphinx", "miniaudio"),
    "parquet": ("pyarrow",),
    "evals": ("rapidfuzz", "whisper_normalizer", "jsonschema_rs"),
}
_PROXIES = ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR")


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    check: str  # what: `python`, `key`, `provider`, ...
    subject: str  # of what: a provider, a folder; empty where there is one only
    status: Status
    message: str
    hint: str = ""  # what to do next; empty where all is well


def _ok(check: str, message: str, subject: str = "") -> Finding:
    return Finding(check, subject, Status.OK, message)


def examine(
    root: Path,
    read: Callable[[], Project],
    remember: Callable[[], Memory],
    environ: Mapping[str, str],
    make_remotes: Callable[[Project, RealClock], Remotes],
    *,
    offline: bool = False,
) -> Iterator[Finding]:
    """Everything, one after the other. read: the specs; remember: the memory, to be read only. Both may raise."""
    yield from machine()
    project = None
    try:
        project = read()
    except SpecError as error:
        number = len(error.problems)
        words = f"{number} problem{'s' * (number != 1)} in the specs"
        yield Finding("specs", "", Status.FAIL, words, "`runner validate` shows each with its place")
    except RunnerError as error:
        yield Finding("specs", "", Status.WARN, error.message, error.hint or "`runner init` writes some to begin with")
    else:
        jobs, files = len(project.jobs), len(project.files)
        yield _ok("specs", f"{jobs:,} job{'s' * (jobs != 1)} in {files:,} file{'s' * (files != 1)}")
    yield from _extras(project)
    if project is not None:
        yield from _providers(project, environ, make_remotes, offline=offline)
    yield from network(environ)
    yield from _disk(root, remember)
    yield from _git(root)


# -- this machine


def machine() -> Iterator[Finding]:
    """Python, the packages that runner needs, and what the system allows."""
    where = f"runner {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield _ok("python", where)
    versions, missing = [], []
    for name in _needed():
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        hint = f"run `pip install --force-reinstall {DISTRIBUTION}`"
        yield Finding("packages", "", Status.FAIL, f"not installed: {', '.join(missing)}", hint)
    else:
        yield _ok("packages", ", ".join(versions))
    yield from _limits()


def _needed() -> list[str]:
    """The distributions that runner cannot do without, as its own says."""
    with suppress(importlib.metadata.PackageNotFoundError):
        required = importlib.metadata.requires(DISTRIBUTION) or []
        plain = (line.partition(";")[0] for line in required if "extra ==" not in line)
        return [found[0] for line in plain if (found := re.match(r"[A-Za-z0-9._-]+", line.strip()))]
    return []


def _limits() -> Iterator[Finding]:
    try:
        import resource
    except ImportError:  # not on this system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FEWEST_FILES:
        hint = f"run `ulimit -n {min(4096, hard) if hard > 0 else 4096}` before runner"
        yield Finding("limits", "", Status.WARN, f"{soft:,} files may be open at once: few for many calls", hint)
    else:
        yield _ok("limits", "files may be open at once: " + ("any" if soft == resource.RLIM_INFINITY else f"{soft:,}"))


def _extras(project: Project | None) -> Iterator[Finding]:
    """Which extras are here, and what the specs need of them."""
    here = {extra for extra, packages in EXTRAS.items() if all(map(_is_there, packages))}
    lacking = {extra: why for extra, why in (_wanted(project) if project else ()) if extra not in here}
    shown = ", ".join(extra for extra in EXTRAS if extra in here) or "none"
    yield _ok("extras", f"{shown}; not here: {', '.join(one for one in EXTRAS if one not in here) or 'none'}")
    for extra, why in lacking.items():
        hint = f"run `pip install '{DISTRIBUTION}[{extra}]'`"
        yield Finding("extras", extra, Status.FAIL, f"{why} needs the extra `{extra}`", hint)


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _wanted(project: Project) -> Iterator[tuple[str, str]]:
    """(extra, what needs it)"""
    from runner.server import weights
    from runner.server.engines import pocketsphinx

    for job in project.jobs:
        block = project.providers[job.model.provider]
        if registry.place_of(block).is_ours:
            yield "server", f"job `{job.address}`"
            if job.model.name in weights.WEIGHTS:
                yield "local", f"the model `{job.model.name}`"
            if job.model.name == pocketsphinx.MODEL:
                yield "asr", f"the model `{job.model.name}`"
        files = job.dataset.files if isinstance(job, Job) else ()
        for name in (job.output, *files):
            if name.endswith((".parquet", ".parquet.gz", ".parquet.zst")):
                yield "parquet", f"`{name}`"


# -- keys and providers


def _providers(
    project: Project,
    environ: Mapping[str, str],
    make_remotes: Callable[[Project, RealClock], Remotes],
    *,
    offline: bool,
) -> Iterator[Finding]:
    used: dict[str, Content] = {}
    for job in project.jobs:
        used.setdefault(job.model.provider, job.content)
    clock = RealClock()
    clock.retry_seconds = 0.0
    with closing(make_remotes(project, clock)) as remotes:
        for name, content in sorted(used.items()):
            block = project.providers[name]
            if registry.place_of(block).is_ours:
                yield from _embedded(name, content, remotes)
                continue
            may_ask = True
            for finding in _keys(block, environ, remotes):
                may_ask &= finding.status is not Status.FAIL
                yield finding
            if offline:
                yield _ok("provider", "not asked: `--offline`", name)
            elif may_ask:
                clock.until = clock.monotonic() + PROVIDER_SECONDS
                yield from _asked(block, content, remotes)
                clock.until = None


def _embedded(name: str, content: Content, remotes: Remotes) -> Iterator[Finding]:
    try:
        remotes.open(name, content)
    except NotSent:
        yield _ok("provider", "the embedded server is not running; `runner apply` starts it", name)
    except RunnerError as error:
        yield Finding("provider", name, Status.FAIL, error.message, error.hint)
    else:
        yield _ok("provider", "the embedded server is running", name)


def _keys(block: ProviderBlock, environ: Mapping[str, str], remotes: Remotes) -> Iterator[Finding]:
    """The variables of a provider's keys: there or not, and where they may go. Values are not looked at but to see
    whether there is one."""
    place = registry.place_of(block)
    names = [addresses.key_variable_of(block)] if place.sends_key else []
    try:
        url = addresses.base_url_of(block, environ)
        refused = remotes.refusal(block.name)
    except (SpecError, RunnerError) as error:
        message = error.problems[0].message if isinstance(error, SpecError) else error.message
        hint = error.problems[0].hint if isinstance(error, SpecError) else error.hint
        yield Finding("key", block.name, Status.FAIL, message, hint)
        return
    if names and addresses.goes_without_key(block, environ, url):
        names = []
        yield _ok("key", f"none is needed for {host_of(url)}", block.name)
    for name in (*names, *block.headers_env.values()):
        source = next((one for one in (name, f"{name}_FILE") if environ.get(one, "").strip()), "")
        where = f"for {host_of(url)}"
        if source:
            yield _ok("key", f"`{source}` is set, {where}", block.name)
        elif is_loopback(urlsplit(url).hostname or "") and not names:
            yield _ok("key", f"none is needed {where}", block.name)
        else:
            hint = f"set `{name}`, or `{name}_FILE` to the path of a file that holds the key"
            yield Finding("key", block.name, Status.FAIL, f"`{name}` is not set, {where}", hint)
    if refused is not None:
        yield Finding("key", block.name, Status.FAIL, refused.message, refused.hint)
    if place.needs_account:
        try:
            addresses.account_of(block, environ)
        except SpecError as error:
            yield Finding("account", block.name, Status.FAIL, error.problems[0].message, error.problems[0].hint)


def _asked(block: ProviderBlock, content: Content, remotes: Remotes) -> Iterator[Finding]:
    """One page of what a provider lists: the cheapest call there is, and it needs the key."""
    name = block.name
    try:
        provider = remotes.open(name, content, registry.usual_transport(block, content))
        if not provider.card.search.can_list:
            yield _ok("provider", "not asked: it has nothing that can be read without a request", name)
            return
        began = time.monotonic()
        next(iter(provider.batches()), None)
        took = time.monotonic() - began
    except AuthFailed as error:
        hint = error.hint or "check the key at the provider, and that it belongs to this account"
        yield Finding("provider", name, Status.FAIL, f"reached, and the key is not taken: {error.message}", hint)
        return
    except RunnerError as error:
        hint = error.hint or "check the network, and `base_url` of the provider"
        yield Finding("provider", name, Status.FAIL, error.message, hint)
        return
    yield _ok("provider", f"reached in {took * 1000:,.0f} ms, and the key is taken", name)
    skew = abs(provider.skew)
    words = f"{skew.total_seconds():,.0f} s {'behind' if provider.skew > timedelta() else 'ahead of'} `{name}`"
    if skew > SKEW:
        status = Status.FAIL if skew > BAD_SKEW else Status.WARN
        hint = "set this machine's clock (NTP): ages, windows and signed addresses go by it"
        yield Finding("clock", name, status, f"this machine's clock is {words}", hint)
    else:
        yield _ok("clock", f"agrees with `{name}` within {max(skew.total_seconds(), 1):,.0f} s")


def network(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What the environment says about the way to others. A proxy's user and password are masked."""
    told = []
    for name in _PROXIES:
        variable = next((one for one in (name.lower(), name) if environ.get(one, "").strip()), "")
        if variable:
            told.append(f"`{variable}`={_masked(environ[variable].strip())}")
    yield _ok("proxy", ", ".join(told) if told else "none is set")
    for name in _TRUST:
        path = environ.get(name, "")
        if path and not Path(path).exists():
            words = f"`{name}` names `{path}`, which is not there"
            yield Finding("certificates", "", Status.FAIL, words, "give it a PEM file, or unset it")


def _masked(url: str) -> str:
    """An address without its user and password."""
    before, at, host = url.rpartition("@")
    if not at:
        return url
    scheme, colon, _ = before.partition("://")
    return f"{scheme}://***@{host}" if colon else f"***@{host}"


# -- the disk, and git


def _disk(root: Path, remember: Callable[[], Memory]) -> Iterator[Finding]:
    folder = root / ".runner"
    try:
        memory = remember()
    except RunnerError as error:
        yield Finding("state", ".runner/", Status.FAIL, error.message, error.hint)
        return
    with closing(memory):
        yield _room(root)
        if not folder.is_dir():
            yield _ok("state", "not there yet: nothing was applied here", ".runner/")
            yield from _file_system(root)
            return
        size, cached = size_below(folder), size_below(memory.caches)
        words = f"{_shown(size)}, of it {_shown(cached)} that can be computed again (`runner cache clear`)"
        if cached > SCARCE_FREE:
            yield Finding("state", ".runner/", Status.WARN, words, "run `runner cache clear`; no answer is in it")
        else:
            yield _ok("state", words, ".runner/")
        if not os.access(folder, os.W_OK):
            hint = "in a read-only checkout `plan`, `status` and `show` work; the others need one they may write"
            yield Finding("state", ".runner/", Status.FAIL, "cannot be written", hint)
        else:
            yield from _file_system(folder)
        holder = memory.holder()
        if holder:
            words = f"is held{holder}"
            yield Finding("lock", "", Status.WARN, words, "wait for it; a lock ends with its process, never by hand")
        else:
            yield _ok("lock", "free")


def _room(root: Path) -> Finding:
    free = shutil.disk_usage(root).free
    if free >= SCARCE_FREE:
        return _ok("disk", f"{_shown(free)} free")
    status = Status.FAIL if free < LEAST_FREE else Status.WARN
    return Finding("disk", "", status, f"{_shown(free)} free", "make room: uploads, results and raw answers lie here")


def _file_system(folder: Path) -> Iterator[Finding]:
    """Whether locks hold and bytes get to the disk: a file that is there for a moment only tells."""
    from filelock import FileLock, Timeout

    try:
        with tempfile.TemporaryDirectory(prefix=".runner-doctor-", dir=folder) as made:
            path = Path(made) / "probe"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
            with open(descriptor, "wb") as file:
                file.write(b"x" * 4096)
                file.flush()
                began = time.monotonic()
                os.fsync(file.fileno())
                took = time.monotonic() - began
            first, second = FileLock(Path(made) / "lock", timeout=0), FileLock(Path(made) / "lock", timeout=0)
            with first:
                try:
                    second.acquire()
                except Timeout:
                    holds = True
                else:
                    holds = False
                    second.release()
    except OSError as error:
        hint = "move the project to a local disk, or run as the user it belongs to"
        yield Finding("file system", "", Status.FAIL, f"`{folder.name}`: {error.strerror or error}", hint)
        return
    if not holds:
        hint = "move the project to a local disk: two commands at once would pay twice"
        yield Finding("file system", "", Status.FAIL, "locks do not hold here", hint)
    elif took > SLOW_SYNC:
        hint = "every step waits for it: a local disk is quicker"
        yield Finding("file system", "", Status.WARN, f"locks hold; a sync takes {took * 1000:,.0f} ms", hint)
    else:
        yield _ok("file system", f"locks hold; a sync takes {took * 1000:,.0f} ms")


def _git(root: Path) -> Iterator[Finding]:
    top = gittree.worktree_of(root)
    if top is None:
        hint = "run `git init`: a plan is reviewed by what changed"
        yield Finding("git", "", Status.WARN, "this folder is in no git repository", hint)
        return
    if gittree.is_tracked(root / ".runner"):
        hint = "run `git rm -r --cached .runner` and commit that"
        yield Finding("git", "", Status.FAIL, "git tracks `.runner/`", hint)
    elif not _ignores(top, root):
        hint = "add `.runner/` to `.gitignore`"
        yield Finding("git", "", Status.WARN, "`.runner/` is not in `.gitignore`", hint)
    else:
        yield _ok("git", "`.runner/` is ignored")


def _ignores(top: Path, root: Path) -> bool:
    """Whether some `.gitignore` between the top and the project names the folder, or the folder ignores itself."""
    places = [root / ".runner" / ".gitignore"]
    places += [folder / ".gitignore" for folder in (root.resolve(), *root.resolve().parents) if _is_in(folder, top)]
    for place in places:
        with suppress(OSError):
            lines = [line.strip().strip("/") for line in place.read_text(errors="replace").splitlines()]
            if any(line in (".runner", "*", "**/.runner") for line in lines):
                return True
    return False


def _is_in(folder: Path, top: Path) -> bool:
    return folder == top or top in folder.parents


def _shown(size_bytes: int) -> str:
    value, unit = float(size_bytes), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def is_well(findings: Sequence[Finding]) -> bool:
    return all(one.status is not Status.FAIL for one in findings)
