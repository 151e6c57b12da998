"""Which key may go to which host: by what no pull request can write.

Specs name hosts and variables, and specs come from strangers. So a vendor's own variable goes to that vendor's hosts
alone, and every other key to the hosts a person bound it to: in the environment (`RUNNER_KEY_HOSTS`), or in a file of
the user's own that lies outside of the checkout. This machine itself needs neither.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from runner import files, gittree
from runner.errors import NotBound, RunnerError, UsageError
from runner.hosts import is_loopback
from runner.remotes.transport.origins import fault_in, host_of

KEY_HOSTS_ENV = "RUNNER_KEY_HOSTS"
NO_KEY = "-"  # stands for the key where a host is spoken to without one
_ENDINGS = ("_KEY", "_TOKEN")
_RESERVED = (
    "AWS_", "AMAZON_", "AZURE_", "ARM_", "GOOGLE_", "GCP_", "GCLOUD_", "CLOUDSDK_", "ALIBABA_", "OCI_", "DIGITALOCEAN_",
    "GITHUB_", "GH_", "GITLAB_", "BITBUCKET_", "CI_", "ACTIONS_", "RUNNER_", "JENKINS_", "CIRCLE_", "BUILDKITE_",
    "TRAVIS_", "SYSTEM_", "DRONE_", "VAULT_", "KUBE", "DOCKER_", "NPM_", "PYPI_", "TWINE_", "UV_", "SSH_", "CARGO_",
)  # fmt: skip


class Binding(NamedTuple):
    """A key by its variable, and where it may go: `gw.example.com`, `gw.example.com:8443`, `http://vllm:8000`."""

    variable: str
    target: str

    def __str__(self) -> str:
        return f"{self.variable}={self.target}"


def target_of(url: str) -> str:
    """The host of an address as bindings name it; one over plain http says so."""
    prefix = "http://" if urlsplit(url).scheme == "http" else ""
    host = host_of(url)
    return prefix + (host if host.isascii() else host.encode("idna").decode())


def fault_of(variable: str, vendors: Mapping[str, Sequence[str]]) -> str | None:
    """Why the value of a variable goes to no host of one's own choice, in words that follow its name; else None."""
    if variable in vendors:
        return "is a vendor's own key and goes to that vendor's hosts only"
    if variable.upper().startswith(_RESERVED):
        return "is named like the keys of clouds, CI and registries, which go to no model"
    if not variable.upper().endswith(_ENDINGS):
        return f"is not named like a key, with {' or '.join(f'`{ending}`' for ending in _ENDINGS)} at its end"
    return None


class Bindings:
    """What a person allowed. Read once; nothing is contacted to find out.

    vendors: variable -> the hosts it goes to by itself, `.example.com` for every name below.
    root: of the project. A file that lies in the same checkout is not read: a pull request could bring it.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        vendors: Mapping[str, Sequence[str]],
        root: Path | None = None,
    ) -> None:
        self._vendors = vendors
        self._hosts = frozenset(host for hosts in vendors.values() for host in hosts)
        self.file = file_of(environ)  # where they are kept; None where there is no home
        self._root = root
        self._bound = set(_in_environment(environ))
        if self.file is not None:
            self._bound.update(_in_file(self.file, root))

    def refusal(self, variable: str, url: str, more: Collection[Binding] = ()) -> NotBound | None:
        """Why the value of `variable` must not go to `url`, or None. `variable` is empty where there is no key.

        more: what follows from an address in the environment, as `OPENAI_API_KEY` from `OPENAI_BASE_URL`.
        """
        if is_loopback(urlsplit(url).hostname or ""):
            return None
        target = target_of(url)
        wanted = Binding(variable or NO_KEY, target)
        if wanted in more or self._is_vendors(variable, target):
            return None
        if fault := fault_of(variable, self._vendors) if variable else None:
            return NotBound(
                f"`{variable}` {fault}" + (f", and not to `{target}`" if variable in self._vendors else ""),
                hint="give the provider a variable of its own, such as `api_key_env: GATEWAY_API_KEY`",
            )
        if wanted in self._bound:
            return None
        return NotBound(
            f"`{variable}` is not bound to `{target}`"
            if variable
            else f"no key is named, and none is bound to `{target}`",
            hint=f"if the host is yours or one you trust, bind it, or set `{KEY_HOSTS_ENV}={wanted}`",
            binding=wanted,
        )

    def keep(self, binding: Binding) -> Path:
        """Write down that a person allowed it, for later commands too; the file. Raises UsageError, OSError."""
        if fault := fault_of(binding.variable, self._vendors) if binding.variable != NO_KEY else None:
            raise UsageError(f"`{binding.variable}` {fault}")
        if self.file is None:
            raise UsageError("there is no home folder to keep it in", hint=f"set `{KEY_HOSTS_ENV}={binding}`")
        if why := _distrust(self.file, self._root):
            raise UsageError(f"`{self.file}` {why}", hint=f"set `{KEY_HOSTS_ENV}={binding}` instead")
        kept = {*_in_file(self.file, self._root), binding}
        files.write(self.file, "".join(f"{one}\n" for one in sorted(kept)).encode())
        self._bound.add(binding)
        return self.file

    def forget(self, binding: Binding) -> bool:
        """Take back what was written down; whether it was there."""
        if self.file is None or binding not in (kept := set(_in_file(self.file, self._root))):
            return False
        files.write(self.file, "".join(f"{one}\n" for one in sorted(kept - {binding})).encode())
        self._bound.discard(binding)
        return True

    def all(self) -> list[Binding]:
        return sorted(self._bound)

    def _is_vendors(self, variable: str, target: str) -> bool:
        """Whether a vendor's own key, or none at all, goes to a vendor's own host over TLS."""
        if target.startswith("http://"):
            return False
        return covers(self._vendors.get(variable, ()) if variable else self._hosts, target)


def covers(hosts: Iterable[str], host: str) -> bool:
    """Whether a host, with or without a port, is one of `hosts`, of which `.example.com` is every name below."""
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    return any(name.endswith(known) if known.startswith(".") else name == known for known in hosts)


def parsed(text: str, where: str) -> Binding:
    """`CORP_KEY=gw.corp.example`. Raises UsageError, with `where` it was read."""
    variable, equals, place = text.partition("=")
    url = place if "://" in place else f"https://{place}"
    has_path = bool(urlsplit(url).path.strip("/")) if equals and place else False
    is_variable = variable == NO_KEY or variable.replace("_", "").isalnum()
    if not (equals and place and is_variable and variable.isascii()) or has_path or fault_in(url, is_insecure=True):
        raise UsageError(f"{where}: `{text[:80]}` binds no key", hint="write it as `CORP_KEY=gw.corp.example`")
    return Binding(variable, target_of(url))


def file_of(environ: Mapping[str, str]) -> Path | None:
    """Where bindings are kept: `key-hosts` in the user's folder of settings; None where there is no home."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    home = environ.get("HOME") or environ.get("USERPROFILE", "")
    if not os.path.isabs(folder):  # noqa: PTH117  # it counts only if it is, and may be empty
        folder = os.path.join(home, ".config") if os.path.isabs(home) else ""  # noqa: PTH117, PTH118
    return Path(folder) / "runner" / "key-hosts" if folder else None


def _in_environment(environ: Mapping[str, str]) -> list[Binding]:
    words = environ.get(KEY_HOSTS_ENV, "").replace(",", " ").split()
    return [parsed(word, f"`{KEY_HOSTS_ENV}`") for word in words]


def _in_file(file: Path, root: Path | None) -> list[Binding]:
    """What the file says, if it is there and nobody else can have written it. Raises RunnerError where somebody may."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RunnerError(f"`{file}` cannot be read: {error}") from error
    if why := _distrust(file, root):
        raise RunnerError(
            f"`{file}` {why}, so it says nothing about where keys may go",
            hint=f"move it, or close it with `chmod 600`; `{KEY_HOSTS_ENV}` says the same from the environment",
        )
    lines = (line.strip() for line in text.splitlines())
    return [parsed(line, f"`{file}`") for line in lines if line and not line.startswith("#")]


def _distrust(file: Path, root: Path | None) -> str:
    """Why somebody else may have written a file; empty if nobody can."""
    if root is not None:
        top = gittree.worktree_of(root) or root.resolve()
        if file.resolve().is_relative_to(top):
            return "lies in the project's own checkout"
    if file.exists():
        about = file.stat()
        if about.st_uid not in (os.getuid(), 0):
            return "belongs to somebody else"
        if stat.S_IMODE(about.st_mode) & 0o022:
            return "can be written by others"
    return ""
