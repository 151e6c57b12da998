"""API keys: read when first needed, and only for a host they may go to; shown never.

Commands that stay offline need none.

A key comes from an environment variable, from a file that `<VARIABLE>_FILE` names, or from the system keyring
when the variable says `keyring:service/user`. Never from a spec, a flag or a URL.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

from runner.errors import AuthFailed, NotBound
from runner.remotes.transport import redaction

_KEYRING = "keyring:"
_LONGEST_KEY_FILE = 16_384


class _Keyring(Protocol):
    def get_password(self, service: str, user: str) -> str | None: ...


Refusal = Callable[[str, str], NotBound | None]  # of a variable's value for an address


class Credential:
    """One provider's key. `repr` and messages name the variable, never the value.

    refusal: why the value of a variable must not go to an address. A `token` is given by the caller together with the
    address, as for the embedded server, and needs none.
    """

    def __init__(
        self, who: str, variable: str, environ: Mapping[str, str], token: str | None = None, *, refusal: Refusal
    ) -> None:
        self._who = who
        self._variable = variable
        self._environ = environ
        self._token = token
        self._refusal = refusal
        self._key: str | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Credential({self.name})"

    @property
    def name(self) -> str:
        """Where the key comes from, for people."""
        return f"`{self._variable}`" if self._variable and self._token is None else f"the token of `{self._who}`"

    def check(self, url: str) -> None:
        """Raises NotBound where nothing of ours may go to this address."""
        if self._token is None and (refused := self._refusal(self._variable, url)) is not None:
            raise refused

    def reveal_for(self, url: str) -> str:
        """The key itself, for a request to `url`: the one place where a key is given out.

        Raises NotBound where it must not go there, before anything is read; AuthFailed, with the variable to set,
        when there is none.
        """
        self.check(url)
        with self._lock:
            if self._key is None:
                self._key = self._usable(self._find())
            return self._key

    def _find(self) -> str:
        if self._token is not None:
            return self._token
        value = self._environ.get(self._variable, "").strip() if self._variable else ""
        if value.startswith(_KEYRING):
            return self._from_keyring(value.removeprefix(_KEYRING))
        if value:
            return value
        path = self._environ.get(f"{self._variable}_FILE", "").strip() if self._variable else ""
        if path:
            return self._from_file(path)
        raise AuthFailed(f"no API key for `{self._who}`: {self.name} is not set", hint=self._advice())

    def _advice(self) -> str:
        if not self._variable:
            return "name the variable that holds it: `api_key_env` of the provider"
        return f"set `{self._variable}`, or `{self._variable}_FILE` to the path of a file that holds the key"

    def _from_file(self, path: str) -> str:
        try:
            with Path(path).open("rb") as file:
                return file.read(_LONGEST_KEY_FILE).decode("ascii").strip()
        except (OSError, ValueError) as error:
            raise AuthFailed(
                f"no API key for `{self._who}`: cannot read the file in `{self._variable}_FILE`",
                hint=f"check `{path}`",
            ) from (error if isinstance(error, OSError) else None)

    def _from_keyring(self, reference: str) -> str:
        service, slash, user = reference.partition("/")
        if not (service and slash and user):
            raise AuthFailed(f"`{self._variable}` is not a keyring reference", hint="write `keyring:service/user`")
        try:
            keyring = cast(_Keyring, importlib.import_module("keyring"))
        except ImportError as error:
            raise AuthFailed(
                f"`{self._variable}` refers to the keyring, but the package `keyring` is not installed",
                hint="run `pip install keyring`, or set the variable to the key itself",
            ) from error
        found = _ask(keyring, service, user)
        if not found:
            raise AuthFailed(f"the keyring has no entry `{service}/{user}`", hint=f"run `keyring set {service} {user}`")
        return found

    def _usable(self, key: str) -> str:
        """The key, known to the redactor. A key that cannot be a header would be quoted in an error later."""
        redaction.learn(key.strip())
        if not key.strip() or not all("!" <= c <= "~" for c in key.strip()):
            raise AuthFailed(
                f"the API key in {self.name} is empty or holds characters that no key has",
                hint="check for line breaks, quotes and spaces",
            )
        return key.strip()


def _ask(keyring: _Keyring, service: str, user: str) -> str | None:
    """The stored password. A keyring that is locked or has no backend reads as having no entry."""
    try:
        return keyring.get_password(service, user)
    except Exception:  # noqa: BLE001  # backends raise their own families, none of which we know
        return None


class Headers:
    """The headers of each request to one remote, keys among them.

    header, scheme: where the key goes and what stands before it; `header=""` sends none. plain: as they are.
    secret: header -> what it holds. optional: the same, left out where it is not set or must not go.
    """

    def __init__(
        self,
        credential: Credential,
        *,
        header: str = "Authorization",
        scheme: str = "Bearer",
        plain: Mapping[str, str] | None = None,
        secret: Mapping[str, Credential] | None = None,
        optional: Mapping[str, Credential] | None = None,
    ) -> None:
        self._credential = credential
        self._header = header
        self._scheme = scheme
        self._plain = plain or {}
        self._secret = secret or {}
        self._optional = optional or {}

    def __call__(self, url: str) -> dict[str, str]:
        """For a request to `url`. Raises NotBound and AuthFailed."""
        found = dict(self._plain)
        if self._header:
            key = self._credential.reveal_for(url)
            found[self._header] = f"{self._scheme} {key}" if self._scheme else key
        else:
            self._credential.check(url)
        found.update((name, one.reveal_for(url)) for name, one in self._secret.items())
        for name, one in self._optional.items():
            with suppress(AuthFailed):
                found[name] = one.reveal_for(url)
        return found
