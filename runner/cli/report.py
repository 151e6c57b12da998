"""`runner report`: what jobs came to, in one file to show."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.options import selecting
from runner.cli.saying import say
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.apply.facts import Report
    from runner.job.selection import Selection
    from runner.reports.pack import Limit

FORMS = ("html", "markdown", "json", "junit")
_SUFFIXES = {
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".json": "json",
    ".xml": "junit",
}
_USUAL = "report.html"
_OURS = b'<meta name="generator" content="runner '
_HEAD = 4096


class _RowsLimit(click.ParamType["Limit"]):
    """`all`, `none`, or how many rows come with their texts."""

    name = "rows"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        from runner.reports import pack

        if isinstance(value, pack.Limit):
            return value
        word = str(value)
        if word in ("all", "none"):
            return pack.ALL if word == "all" else pack.NONE
        if not (word.isascii() and word.isdigit()):
            self.fail(f"`{word}` is neither a number, `all` nor `none`", param, ctx)
        return pack.Limit(int(word), None)


@click.command("report")
@click.argument("paths", nargs=-1)
@click.option(
    "--out", metavar="FILE", help=f"Write the report here, `-` for stdout.  [default: {_USUAL} for html, else stdout]"
)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(FORMS),
    help="The form of it.  [default: by the suffix of FILE, else html]",
)
@click.option(
    "--rows",
    "limit",
    type=_RowsLimit(),
    metavar="N",
    help="How many rows show their texts: N, all or none.  [default: 20 MB]",
)
@click.option("--redact", "redacted", multiple=True, metavar="COLUMN", help="Leave this column out; may be repeated.")
@click.option(
    "--junit-rows",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="List so many failing rows of each check in JUnit.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@selecting
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    out: str | None,
    form: str | None,
    limit: Limit | None,
    redacted: tuple[str, ...],
    junit_rows: int,
    opens: bool,
    selection: Selection,
) -> None:
    """Show what the jobs of the specs below PATHS (default: specs) came to: gates, numbers, comparisons, rows.

    It is made of results and scores files: it needs no network and no state, and sends nothing.
    """
    from runner.apply.facts import report_of
    from runner.apply.narrow import meant
    from runner.apply.reporter import Silent
    from runner.cli.opening import opened

    form = form or _SUFFIXES.get(Path(out or _USUAL).suffix.lower(), "html")
    target = _target(ctx.obj.root, out, form)
    if opens and (form != "html" or target is None):
        raise UsageError("`--open` shows a page in a browser", hint="leave `-o` and `--out -` out")
    with opened(ctx.obj, paths or ("specs",), Silent(), writes=False, from_outputs=True) as session:
        names = meant(session, "", selection, writes=False) if selection else [job.address for job in session.desired]
        report = report_of(session, names)
        report = _without(report, redacted)
        parts = _drawn(report, form, limit, junit_rows)
        if target is None:
            _print(parts)
        else:
            _write(target, parts)
    for note in report.facts.notes:
        say(f"warning: {note}", err=True)
    if target is not None:
        _tell(target, report, ctx.obj.root)
        if opens:
            import webbrowser

            webbrowser.open(target.resolve().as_uri())


def _target(root: Path, out: str | None, form: str) -> Path | None:
    """The file to write; None for stdout. Raises UsageError for one that is there and is none of ours."""
    if out == "-" or (out is None and form != "html"):
        return None
    if out is not None:
        return Path(out)
    path = root / _USUAL
    if path.exists() and not _is_ours(path):
        raise UsageError(
            f"`{_USUAL}` is there already, and runner did not write it", hint="say where with `--out FILE`"
        )
    return path


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _OURS in file.read(_HEAD)


def _without(report: Report, redacted: Sequence[str]) -> Report:
    """The report without some columns. Raises UsageError for a column that there is not: it would stay in."""
    if not redacted:
        return report
    from runner.reports import redact

    if unknown := [name for name in redacted if name not in report.columns]:
        listed = ", ".join(f"`{name}`" for name in report.columns)
        raise UsageError(f"`--redact {unknown[0]}`: no row has such a column", hint=f"there are {listed}")
    return report._replace(facts=redact.of_facts(report.facts, redacted), rows=redact.of_rows(report.rows, redacted))


def _drawn(report: Report, form: str, limit: Limit | None, junit_rows: int) -> Iterator[bytes]:
    from runner.reports import facts, html, junit, markdown, pack

    match form:
        case "html":
            return html.page(report.facts, report.rows, limit=limit or pack.USUAL)
        case "markdown":
            return iter([markdown.page(report.facts).encode()])
        case "json":
            return iter([facts.encode(report.facts)])
        case _:
            rows = facts.no_rows if limit == pack.NONE else report.rows
            return junit.page(report.facts, rows, most_rows=junit_rows)


def _print(parts: Iterator[bytes]) -> None:
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.flush()


def _write(target: Path, parts: Iterator[bytes]) -> None:
    from runner.files import whole

    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as file:
        file.writelines(parts)


def _tell(target: Path, report: Report, root: Path) -> None:
    from runner.cli import voice

    groups = report.facts.groups
    jobs = sum(len(group.cells) for group in groups)
    rows = sum(cell.accounting.wanted for group in groups for cell in group.cells)
    shown = target.relative_to(root) if target.is_relative_to(root) else target
    size = voice.size(target.stat().st_size)
    say(f"{shown}  {voice.count(jobs, 'job')}, {voice.count(rows, 'row')}, {size}")
