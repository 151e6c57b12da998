"""Rows of a CSV file: a header, then text. Quoted line breaks are fine, ragged rows are not."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

from runner.data.block import Bad, BadRow, MergeConflict, refuse_conflict, told
from runner.data.picks import Picks
from runner.data.sniff import HEAD
from runner.errors import DataError, Mark

MAX_FIELD_CHARACTERS = 64 << 20
_OTHER_DELIMITERS = {";": '";"', "\t": "tab", "|": '"|"'}  # and how a spec says them
_BOM = "\ufeff"  # some programs write a second one
_BOMS = re.compile(rb"\A(?:\xef\xbb\xbf)*")
_EXCEL = re.compile(r"sep=.\s*")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')

Numbered = tuple[int, dict[str, str]]


def read(
    file: io.BufferedReader[Any], name: str, picks: Picks, *, delimiter: str | None = None, bad: Bad | None = None
) -> Iterator[Numbered]:
    """(line number, row) of each asked row; every value is text. A BOM is accepted, blank lines are no rows.

    Columns without a name are left out: those before all others (the index that pandas writes), and others where they
    are empty. delimiter: None is the comma, and a header that looks like it was another one is refused. bad: takes what
    is wrong with single rows, which are then left out.
    Raises DataError naming the line: too few or too many fields, a doubled column name, NUL, bad quoting, text that is
    not UTF-8.
    """
    delimiter_of(file.peek(HEAD)[:HEAD], delimiter, name)
    # split here and not by a text file: only `\n` ends a line, and a line that never ends is not read whole
    numbered = enumerate(iter(partial(file.readline, MAX_FIELD_CHARACTERS), b""), 1)
    if bad is None:
        return _rows((text_of(number, line, name) for number, line in numbered), name, picks, delimiter)
    return _good_rows(_Lines(numbered, name), picks, delimiter, bad)


def delimiter_of(head: bytes, delimiter: str | None, name: str) -> str | None:
    """The delimiter, checked against the first bytes of a file. Raises DataError."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)  # one setting for the whole process; the default is 128 KiB
    _check_delimiter(head, delimiter, name)
    return delimiter


def _rows(lines: Iterator[str], name: str, picks: Picks, delimiter: str | None) -> Iterator[Numbered]:
    """Up to the first row that is wrong."""
    columns = columns_in(lines, name, delimiter)
    if columns is not None:
        yield from rows_under(lines, columns, name, delimiter, columns.lines + 1, picks)


def columns_in(lines: Iterator[str], name: str, delimiter: str | None) -> Columns | None:
    """What the header says, None where there is no line. Takes no more lines than it has. Raises DataError."""
    reader = csv.reader(lines, strict=True, delimiter=delimiter or ",")
    try:
        header = next((fields for fields in reader if fields), None)
    except csv.Error as error:
        told(None, _not_csv(error, Mark(name, 1)))
        return None
    if header is None:
        return None
    refuse_conflict(header[0], Mark(name, reader.line_num))
    return Columns(header, Mark(name, reader.line_num))


def rows_under(
    lines: Iterator[str], columns: Columns, name: str, delimiter: str | None, first: int, picks: Picks | None = None
) -> Iterator[Numbered]:
    """The asked rows of some lines after the header, up to the first row that is wrong. Takes no line before it is
    needed. first: the number of the first line. picks: None asks for all."""
    reader = csv.reader(lines, strict=True, delimiter=delimiter or ",")
    line = first
    try:
        width = len(columns.names)
        every = picks is None or picks.every
        named = None if columns.leaves_out else columns.names
        for fields in reader:
            if fields:
                if width == 1 or len(fields) != width:  # text in quotes may well begin so
                    refuse_conflict(fields[0], Mark(name, line))
                if len(fields) != width:
                    told(None, _ragged(fields, width, delimiter, Mark(name, line)))
                if every or (picks is not None and picks.take()):
                    yield (
                        line,
                        dict(zip(named, fields, strict=True)) if named else columns.row(fields, Mark(name, line)),
                    )
                    if picks is not None and picks.done:
                        return
            line = first + reader.line_num
    except csv.Error as error:
        told(None, _not_csv(error, Mark(name, line)))


def text_of(number: int, line: bytes, name: str) -> str:
    """One line, decoded by itself, so that a bad byte is on the line the error names. Raises BadRow."""
    if b"\0" in line:
        raise BadRow("the line holds a NUL character", mark=Mark(name, number))
    try:
        return line.decode().lstrip(_BOM) if number == 1 else line.decode()
    except UnicodeDecodeError as error:
        raise BadRow(
            "the text is not UTF-8",
            hint="convert the file, for example with `iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW`",
            mark=Mark(name, number),
        ) from error


class Columns:
    """The names of the columns, and which of them are left out."""

    def __init__(self, header: list[str], mark: Mark) -> None:
        """Raises DataError for a header that is none."""
        self.lines = mark.line  # of the file, up to its end
        self.names: Sequence[str] = [column if column.strip() else "" for column in header]
        self.leaves_out = not all(self.names)
        self._index = sum(1 for _ in takewhile(lambda column: not column, self.names))
        if self._index == len(header):
            raise DataError("no column has a name", hint="the first line names the columns", mark=mark)
        seen: set[str] = set()
        for column in filter(None, self.names):
            if column in seen:
                raise DataError(f"the column `{column}` is there twice", hint="rename one of them", mark=mark)
            seen.add(column)

    def row(self, fields: list[str], mark: Mark) -> dict[str, str]:
        """The fields that have a name. Raises DataError for one that has none, and is no index but holds something."""
        row = {}
        for number, (column, value) in enumerate(zip(self.names, fields, strict=True)):
            if column:
                row[column] = value
            elif value.strip() and number >= self._index:
                raise BadRow(
                    f"column {number + 1} has no name and holds `{value[:40]}`",
                    hint="the first line names the columns",
                    mark=mark,
                )
        return row


def _check_delimiter(head: bytes, delimiter: str | None, name: str) -> None:
    """Raise DataError where something else than a comma seems to stand between the columns. head: of the file."""
    begun = _BOMS.sub(b"", head, 1).lstrip(b"\r\n")
    first = begun.partition(b"\n")[0].decode(errors="replace").rstrip("\r")
    mark = Mark(name, head[: len(head) - len(begun)].count(b"\n") + 1)
    if _EXCEL.fullmatch(first):
        wish = _OTHER_DELIMITERS.get(first[4:5], f'"{first[4:5]}"')
        raise DataError(
            f"the first line is `{first}`, a word to Excel, and no header",
            hint=f"remove the line, and write `delimiter: {wish}` in the dataset",
            mark=mark,
        )
    bare = _QUOTED.sub("", first)
    for other, word in _OTHER_DELIMITERS.items():
        if delimiter is None and bare.count(other) > bare.count(","):
            has = "more `{}` than commas: it" if "," in bare else "no comma but `{}`, which"
            these = "the columns are those between commas" if "," in bare else "this is one column"
            raise DataError(
                f"the header has {has.format(repr(other)[1:-1])} seems to stand between the columns",
                hint=f'write `delimiter: {word}` in the dataset, or `delimiter: ","` if {these}',
                mark=mark,
            )


def _ragged(fields: list[str], width: int, delimiter: str | None, mark: Mark) -> DataError:
    return DataError(
        f"the row has {len(fields)} fields, the header has {width}",
        hint=f"a field with `{delimiter or ','}` in it needs quotes",
        mark=mark,
    )


def _not_csv(error: csv.Error, mark: Mark) -> DataError:
    return DataError(f"the row is not CSV: {error}", hint="is a quote left open?", mark=mark)


# --- rows among bad ones ------------------------------------------------------------------------------------------


# The reader of the standard library takes lines until a row is complete. One quote left open would make a row of all
# that is left of the file, and with `skip_bad` the good rows in it would be left out too. So the lines of the row at
# hand are kept, and when it turns out wrong all but its first are read again as rows of their own.
class _Lines:
    """Lines as text, and those that the row at hand was read from: a quote left open takes more than its own."""

    def __init__(self, numbered: Iterator[tuple[int, bytes]], name: str) -> None:
        self.name = name
        self._numbered = numbered
        self._again: deque[tuple[int, bytes]] = deque()
        self._row: list[tuple[int, bytes]] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = self._again.popleft() if self._again else next(self._numbered)
        self._row.append((number, line))
        return text_of(number, line, self.name)

    @property
    def mark(self) -> Mark:
        """The place of the row at hand."""
        return Mark(self.name, self._row[0][0] if self._row else 0)

    def begin(self) -> None:
        """The next line begins a row."""
        self._row = []

    def only_first(self) -> None:
        """Of the row at hand, let the lines after the first be read again."""
        self._again.extendleft(reversed(self._row[1:]))


def _good_rows(lines: _Lines, picks: Picks, delimiter: str | None, bad: Bad) -> Iterator[Numbered]:
    """The rows that are right; `bad` is told of the others."""
    reader = csv.reader(lines, strict=True, delimiter=delimiter or ",")
    columns: Columns | None = None
    while not picks.done:
        lines.begin()
        wrong, row = None, {}
        try:
            fields = next(reader)
            if not fields:
                continue
            if columns is None or len(columns.names) == 1 or len(fields) != len(columns.names):
                refuse_conflict(fields[0], lines.mark)
            if columns is None:
                columns = Columns(fields, lines.mark)
                continue
            if len(fields) != len(columns.names):
                wrong = _ragged(fields, len(columns.names), delimiter, lines.mark)
            else:
                row = columns.row(fields, lines.mark)
        except StopIteration:
            return
        except csv.Error as error:
            lines.only_first()
            wrong = _not_csv(error, lines.mark)
        except MergeConflict:
            raise
        except DataError as error:
            lines.only_first()
            wrong = error
        if columns is None:
            assert wrong is not None
            raise wrong
        if picks.step():
            if wrong is None:
                yield lines.mark.line, row
            else:
                told(bad, wrong)
