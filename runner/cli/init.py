"""`runner init`: a repository that works at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner import __version__
from runner.cli.options import option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.job.project import ProviderBlock

_SCAFFOLD = Path(__file__).parents[1] / "scaffold"
_EMBEDDED = "embedded"
_SCHEMA = "specs/runner.schema.json"
_SPEC = "specs/capitals.yaml"
_IGNORED = ".runner/"
_MODEL = "the-name-of-a-model-there"
_ECHO = "\n    # `echo` repeats the question. A real one: `name: smollm2-135m`, after pip install 'runner-batch[local]'"
_PRICE = "\n    # price: {input: 0.10, output: 0.40}   # USD per 1M tokens; with it, `budget:` holds you to a sum"


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False), default=".", metavar="[DIR]")
@option(
    "--provider",
    default=_EMBEDDED,
    show_default=True,
    metavar="NAME",
    help="Whose model is asked: any built-in provider. The embedded one needs no key and no account.",
)
@option(
    "--ci",
    type=click.Choice(["github", "gitlab", "none"]),
    default="github",
    show_default=True,
    help="Write workflows: a plan on every pull request, an apply on every merge.",
)
@click.pass_context
def command(ctx: click.Context, folder: str, provider: str, ci: str) -> int:
    """Write a repository that works at once into DIR (default: .): a spec, data, CI, ignore files.

    A file that is there is never touched. Specs that are there already stay alone: then only what is missing around
    them is written.
    """
    import os
    import shlex

    from runner.errors import UsageError, printable
    from runner.gittree import worktree_of

    root = (ctx.obj.root / folder).resolve()
    block = _block_of(provider)
    wanted = _files(root, block, ci)
    for path in wanted:
        inside = Path(os.path.realpath(root / path))
        if not inside.is_relative_to(root) and not (root / path).is_symlink():
            raise UsageError(f"`{printable(path)}` would be written outside of `{printable(str(root))}`: a link leads")
    root.mkdir(parents=True, exist_ok=True)
    made: list[str] = []
    kept: list[str] = []
    for path, text in wanted.items():
        (made if _wrote(root / path, text) else kept).append(path)
    for path in made:
        click.echo(f"wrote  {path}")
    for path in kept:
        click.echo(f"kept   {path}, which was there")
    if _SPEC not in wanted:
        click.echo("kept   specs/, which holds specs")
    if not _is_ignored(root / ".gitignore"):
        click.echo(
            f"\nAdd a line to .gitignore, since what a machine remembers is no part of a repository:  {_IGNORED}"
        )
    here = os.path.relpath(root, Path.cwd())
    before = [] if here == "." else [f"cd {shlex.quote(here)}"]
    if worktree_of(root) is None:
        before.append("git init && git add -A")
    click.echo("\nNext:")
    if any(word in wanted.get(_SPEC, "") for word in (_MODEL, "RESOURCE")):
        before.append(f"$EDITOR {_SPEC}    # the model's name and address are yours to fill in")
    for line in (*before, *_needs(block), "runner validate", "runner plan", "runner apply"):
        click.echo(f"  {line}")
    return 0


def _block_of(name: str) -> ProviderBlock:
    """The built-in provider of that name. Raises UsageError."""
    from runner.errors import UsageError
    from runner.job.capabilities import Content
    from runner.remotes.registry import built_in_providers, declared_by

    takers = {
        known: block
        for known, block in built_in_providers().items()
        if Content.TEXT in declared_by()[block.kind].content
    }
    if name not in takers:
        raise UsageError(
            f"there is no built-in provider `{name}` for rows of a table",
            hint=f"one of {', '.join(f'`{one}`' for one in takers)}; others are declared in a spec, under `providers:`",
        )
    return takers[name]


def _files(root: Path, block: ProviderBlock, ci: str) -> Mapping[str, str]:
    """What is to be there, by path, in the order it is told of."""
    import msgspec

    from runner.spec.schema import schema

    files: dict[str, str] = {}
    if not any((root / "specs").rglob("*.y*ml")):
        files[_SPEC] = _spec(root, block)
        files["data/countries.csv"] = _template("countries.csv")
    files[_SCHEMA] = msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"
    files[".gitignore"] = _template("gitignore")
    files[".gitattributes"] = _template("gitattributes")
    folder = _SCAFFOLD / "ci" / ci
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if file.is_file():
            files[file.relative_to(folder).as_posix()] = _template(file.relative_to(_SCAFFOLD).as_posix())
    return files


def _template(name: str) -> str:
    return (_SCAFFOLD / name).read_text(encoding="utf-8").replace("@VERSION@", __version__)


def _spec(root: Path, block: ProviderBlock) -> str:
    """The spec, with the names in it."""
    from runner.remotes.registry import declared_by, place_of

    declared = declared_by()[block.kind]
    is_ours = place_of(block).is_ours
    url = declared.example_urls.get(block.profile or "") if block.profile else ""
    named = {
        "PROJECT": _project(root.name),
        "PROVIDER": block.name,
        "MODEL": _own_model() if is_ours else declared.example_models.get(block.name, _MODEL),
        "NOTE": _ECHO if is_ours and _own_model() == "echo" else "" if is_ours else _PRICE,
        "PROVIDERS\n": f"\nproviders:\n  {block.name}: {{base_url: {url}}}\n" if url else "",
    }
    text = _template("spec.yaml")
    for name, value in named.items():
        marked = f"@{name[:-1]}@\n" if name.endswith("\n") else f"@{name}@"
        text = text.replace(marked, value)
    return text


def _project(name: str) -> str:
    """A name for a project, made of that of its folder."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-._")[:40] or "my-project"


def _own_model() -> str:
    """What the embedded server can run here; where it has to be installed first, what it can run then."""
    from importlib.util import find_spec

    return "smollm2-135m" if find_spec("xllamacpp") or not _can_serve() else "echo"


def _can_serve() -> bool:
    from runner.errors import RunnerError
    from runner.server.embedded import check_installed

    try:
        check_installed()
    except RunnerError:
        return False
    return True


def _needs(block: ProviderBlock) -> Sequence[str]:
    """What has to be had before the first apply."""
    import os

    from runner.remotes.addresses import key_variable_of
    from runner.remotes.registry import place_of

    place = place_of(block)
    if place.is_ours:
        return [] if _can_serve() else ["pip install 'runner-batch[local]'"]
    names = (key_variable_of(block), place.account_env if place.needs_account else "")
    return [f"export {name}=..." for name in names if name and not os.environ.get(name)]


def _wrote(path: Path, text: str) -> bool:
    """Whether a file was written; False where something is there, a link that leads nowhere too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _is_ignored(ignore: Path) -> bool:
    try:
        lines = ignore.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return True
    return any(line.strip().strip("/") == _IGNORED.strip("/") for line in lines)
