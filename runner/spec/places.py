"""What lies at the places of outputs. Nothing is imported that takes long: it is looked at by every command."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runner import private
from runner.job.project import AnyJob
from runner.job.scored import scores_path
from runner.spec.paths import parents


class Root:
    """The project root. Thousands of outputs lie in few folders, so each folder is looked at once."""

    def __init__(self, root: Path) -> None:
        """root: with its own symlinks resolved."""
        self.path = root
        self._root = str(root).rstrip("/")
        self._real: dict[str, str] = {}  # of folders: where they lie
        self._files: dict[str, str] = {}  # of folders: what of their path is a file

    def holds(self, output: str) -> bool:
        """Whether a path, links followed, lies inside."""
        return self._followed(output).startswith(f"{self._root}/")

    def leads_into_hidden(self, output: str) -> bool:
        """Whether a path that is not hidden itself is so once its links are followed."""
        return private.is_hidden(self._followed(output).removeprefix(f"{self._root}/"))

    def _followed(self, output: str) -> str:
        folder, _, name = output.rstrip("/").rpartition("/")
        path = f"{self._real_of(folder)}/{name}"
        return os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114  # never raises

    def _real_of(self, folder: str) -> str:
        if folder not in self._real:
            self._real[folder] = os.path.realpath(f"{self._root}/{folder}")
        return self._real[folder]

    def is_as_checked(self, output: str) -> bool:
        """Whether nothing at the place of an output that was checked before speaks against it now, by one look."""
        folder, _, name = output.rstrip("/").rpartition("/")
        real = self._real_of(folder)
        if real != f"{self._root}/{folder}".rstrip("/"):
            return False  # through a link: where to is looked at anew
        try:
            mode = os.lstat(f"{real}/{name}").st_mode
        except FileNotFoundError:
            return True
        except OSError:  # a file where a folder is wanted
            return False
        return stat.S_ISDIR(mode) if output.endswith("/") else stat.S_ISREG(mode)

    def file_above(self, output: str) -> str:
        """What of the path to an output is a file, so that no folder can be made there; empty if nothing is."""
        folder = output.rstrip("/").rpartition("/")[0]
        if folder not in self._files:
            self._files[folder] = next((path for path in parents(folder + "/.") if self.has_file(path)), "")
        return self._files[folder]

    def has_file(self, path: str) -> bool:
        """Never raises: a name may be too long to ask for."""
        return os.path.isfile(f"{self._root}/{path}")  # noqa: PTH113

    def has_folder(self, path: str) -> bool:
        """The same for a folder."""
        return os.path.isdir(f"{self._root}/{path}")  # noqa: PTH112


def files_of(job: AnyJob) -> list[str]:
    """What a job writes under names of its own: its output, and beside it its scores."""
    has_scores = job.evals.checks and not job.output.endswith("/")
    return [job.output, scores_path(job.output)] if has_scores else [job.output]
