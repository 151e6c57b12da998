"""What a command line says of specs beside their paths: the environment, and values of their vars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "RUNNER_VAR_"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Nothing of it: the environment that is the default one, else the specs as they stand; the vars as they say."""

    environment: str = ""
    given: tuple[tuple[str, str], ...] = ()  # by `--var`, in their order: the last of a name counts
    files: tuple[Path, ...] = ()  # by `--var-file`: the last that has a name counts
    environ: Mapping[str, str] = field(default_factory=dict)  # what `RUNNER_VAR_...` says

    @property
    def identity(self) -> str:
        """Changes whenever specs may come to something else by it. Raises OSError for a file that cannot be read."""
        if not (self.environment or self.given or self.files or self.environ):
            return ""
        import hashlib  # most commands choose nothing, and `--help` has no use for it

        contents = [hashlib.sha256(file.read_bytes()).hexdigest() for file in self.files]
        said = (
            self.environment,
            self.given,
            [str(file) for file in self.files],
            contents,
            sorted(self.environ.items()),
        )
        return repr(said)

    def in_environment(self, name: str) -> Chosen:
        """The same with another environment."""
        return Chosen(name, self.given, self.files, self.environ)


def vars_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Those variables of the environment that give vars their values, by their whole names."""
    return {name: value for name, value in environ.items() if name.startswith(PREFIX) and name != PREFIX}


NOTHING = Chosen()
