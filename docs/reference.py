"""Write docs/reference/: the commands, the fields of a spec, and the documents that programs read, as they are.

    python docs/reference.py           write them
    python docs/reference.py --check   exit 1 where they are not as they would be written

Everything in them is drawn from the commands and models themselves; nothing is to be edited by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from runner.cli.main import COMMANDS, cli
from runner.cli.schema import DOCUMENTS, schema_of
from runner.errors import SpecError
from runner.job.capabilities import Content
from runner.job.project import ProviderBlock
from runner.remotes import registry

HERE = Path(__file__).parent / "reference"
NOTE = "<!-- written by docs/reference.py: do not edit -->\n\n"
_KINDS = {"integer": "a number", "number": "a number", "string": "text", "boolean": "true or false"}
_FIRST = ("Model", "Dataset", "Prompt", "Job", "Provider", "Defaults", "Environment", "Var")
_PART = "Part"  # of an environment: the same fields, all of them optional


def commands() -> str:
    """Every command with its options, their names in the environment, and their defaults."""
    lines = [
        "# Commands",
        "",
        "An option with a name in the last column can be given by the environment, under that name. What commands end",
        "with is in [exit codes](../exit-codes.md). Completion of commands, options and job addresses:",
        '`eval "$(_RUNNER_COMPLETE=bash_source runner)"`, or `zsh_source`, `fish_source`.',
        "",
    ]
    context = click.Context(cli, info_name="runner")
    lines += ["## runner", "", *_options(cli, context)]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        lines += _command(command, click.Context(command, info_name=f"runner {name}", parent=None))
    return "\n".join(lines).rstrip() + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield from (f"## {context.info_name}", "", "```text", _usage(command, context), "```", "")
    yield from (*_paragraphs(command.help or ""), "")
    yield from _options(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, click.Context(inner, info_name=f"{context.info_name} {name}"))


def _usage(command: click.Command, context: click.Context) -> str:
    return f"{context.info_name} {' '.join(command.collect_usage_pieces(context))}"


def _paragraphs(text: str) -> list[str]:
    parts = [" ".join(part.split()) for part in text.replace("\b", "").split("\n\n")]
    return [line for part in parts if part for line in (_escaped(part), "")][:-1]


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    rows = []
    for option in command.params:
        if not isinstance(option, click.Option) or option.hidden:
            continue
        record = option.get_help_record(context)
        if record is None:
            continue
        names, told = record
        variable = f"`{option.envvar}`" if isinstance(option.envvar, str) else ""
        shown = names.replace("|", "\\|")
        rows.append(f"| `{shown}` | {_escaped(told)} | {variable} |")
    if rows:
        yield from ("| option | | environment |", "|---|---|---|", *rows, "")


def _escaped(text: str) -> str:
    """Words of a help text, in a cell of a table or a paragraph."""
    text = re.sub(r"\s+", " ", text).strip().replace("|", "\\|")
    return re.sub(r"(?<![`\w])([<*_])", r"\\\1", text)


def specs() -> str:
    """Every field of a spec file, by the block that it stands in."""
    schema = schema_of("specs")
    lines = ["# Fields of a spec", ""]
    lines += ["`runner schema` prints the same for editors. All `*.yaml` below the paths given form one namespace.", ""]
    lines += _block("A spec file", schema, schema)
    blocks = {_called(name): block for name, block in schema["definitions"].items() if _is_block(name, block)}
    for name in (*_FIRST, *sorted(blocks.keys() - {*_FIRST})):
        lines += _block(name, blocks[name], schema)
    return "\n".join(lines).rstrip() + "\n"


def _is_block(name: str, definition: Mapping[str, Any]) -> bool:
    return "properties" in definition and not name.endswith(_PART)


def _called(name: str) -> str:
    """A block by the word for it, without what it is called in the code."""
    return name.removesuffix(_PART).removesuffix("Spec").removesuffix("Fields")


def _block(title: str, definition: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"## {title}", "")
    if told := definition.get("description"):
        yield from (_escaped(told), "")
    needed = set(definition.get("required", ()))
    yield from ("| field | takes | |", "|---|---|---|")
    for name, field in definition["properties"].items():
        must = " (needed)" if name in needed else ""
        yield f"| `{name}`{must} | {_kind(field, schema)} | {_escaped(field.get('description', ''))} |"
    yield ""


def _kind(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a field takes, in a few words; a block by its name, with a link."""
    if ref := field.get("$ref"):
        name = ref.rpartition("/")[2]
        if name == "VarText":
            return ""
        is_block = "properties" in schema["definitions"].get(name, {})
        return f"[{_called(name)}](#{_called(name).lower()})" if is_block else ""
    for many in ("anyOf", "allOf", "oneOf"):
        if many in field:
            kinds = dict.fromkeys(filter(None, (_kind(one, schema) for one in field[many])))
            return " or ".join(kinds)
    if "enum" in field or "const" in field:
        return ", ".join(f"`{one}`" for one in field.get("enum", [field.get("const")]))
    match field.get("type"):
        case "array":
            inner = _kind(field.get("items", {}), schema)
            return f"a list of {inner}" if inner else "a list"
        case "object":
            each = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
            inner = _kind(more, schema) if isinstance(more := each[0], Mapping) else ""
            return f"names, each with {inner}" if inner else "a map"
        case "null" | None:
            return ""
        case str(kind):
            return _KINDS.get(kind, kind)
        case ["string", "number"]:
            return _KINDS["string"]  # a number there is taken as it was written
        case kinds:
            return " or ".join(dict.fromkeys(_kind({"type": kind}, schema) for kind in kinds))


def documents() -> str:
    """The JSON documents that commands print, field by field."""
    lines = ["# Documents for programs", ""]
    lines += [
        "What commands print with `-o json`, and files that they write. `runner schema NAME` prints the JSON Schema.",
        "",
    ]
    for name in DOCUMENTS:
        if name == "specs":
            continue
        schema = schema_of(name)
        lines += [f"## {name}", "", f"`runner schema {name}`", ""]
        places = {**schema.get("definitions", {}), **schema.get("$defs", {})}
        top = places.get(schema["$ref"].rpartition("/")[2], {}) if "$ref" in schema else schema
        if told := top.get("description"):
            lines += [_escaped(told), ""]
        if fields := top.get("properties"):
            lines += ["Fields: " + ", ".join(f"`{field}`" for field in fields) + ".", ""]
    return "\n".join(lines).rstrip() + "\n"


def providers() -> str:
    """The providers that are built in, as their profiles declare them."""
    lines = ["# Built-in providers", ""]
    lines += [
        "What a job may ask of each, and how a batch whose create had no answer is found again. `overrides:` of a"
    ]
    lines += ["provider corrects what is not so any more.", ""]
    lines += ["| provider | key | host | windows | price | found again | endpoints |", "|---|---|---|---|---|---|---|"]
    for name, block in registry.built_in_providers().items():
        card = registry.card_of(block, Content.TEXT) if _takes(block, Content.TEXT) else registry.card_of(
            block, Content.RECORDING)  # fmt: skip
        place = registry.place_of(block) if block.base_url or block.profile != "azure" else None
        host = place.base_url.partition("://")[2].partition("/")[0] if place else "`base_url` of yours"
        key = f"`{place.key_env}`" if place and place.key_env else ""
        price = (
            "free" if card.is_free else "listed" if card.price_factor == 1 else f"{card.price_factor:.0%} of the list"
        )
        ends = ", ".join(f"`{path}`" for path in card.endpoints)
        lines.append(
            f"| `{name}` | {key} | {host or 'this machine'} | {card.windows} | {price} | {card.search} | {ends} |"
        )
    return "\n".join(lines) + "\n"


def _takes(block: ProviderBlock, content: Content) -> bool:
    try:
        registry.card_of(block, content)
    except SpecError:
        return False
    return True


PAGES = {"commands.md": commands, "specs.md": specs, "documents.md": documents, "providers.md": providers}


def main(words: list[str]) -> int:
    stale = []
    for name, page in PAGES.items():
        path, text = HERE / name, NOTE + page()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if "--check" not in words:
            HERE.mkdir(exist_ok=True)
            path.write_text(text)
            click.echo(f"wrote {path}")
    if stale and "--check" in words:
        click.echo(f"not as it would be written: {', '.join(stale)}; run `python docs/reference.py`", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
