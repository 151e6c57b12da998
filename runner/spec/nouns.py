"""Checked entries to the values the rest of runner reads: models, datasets, prompts, providers."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

import msgspec

from runner import formats
from runner.errors import Mark
from runner.fields import ENDPOINT_NAMES
from runner.job.capabilities import Content
from runner.job.project import ENDPOINTS, Body, Dataset, Message, Model, Place, Price, Prompt, ProviderBlock, Retention
from runner.remotes.registry import built_in_providers, declared_by
from runner.spec import kinds
from runner.spec.answers import Answers, with_answer
from runner.spec.chains import chain_of
from runner.spec.declared import BRACES, Declared, Entry, check_no_template, places_in
from runner.spec.fill import Filling
from runner.spec.loader import read_text
from runner.spec.model import DatasetSpec, ModelSpec, PriceSpec, PromptSpec, ProviderSpec
from runner.spec.nodes import Mapping, Node, Scalar, Sequence
from runner.spec.parts import parts_of
from runner.spec.paths import is_below, is_too_long
from runner.spec.problems import Problems
from runner.spec.sent import SentFile
from runner.spec.shapes import check_format, check_schema_name, warn_of_params
from runner.spec.syntax import conflict_in, has_both_sides


def providers_of(declared: Declared, problems: Problems) -> dict[str, ProviderBlock | None]:
    """Every provider a model can name; None for those that are declared but cannot be used."""
    found: dict[str, ProviderBlock | None] = dict(built_in_providers())
    for entry in declared.entries["providers"].values():
        found[entry.name] = _provider(entry, problems) if entry.spec else None
    return found


def _provider(entry: Entry, problems: Problems) -> ProviderBlock | None:
    spec: ProviderSpec = entry.spec
    # a block under a built-in name says what differs, and may leave out the rest
    built_in = built_in_providers().get(entry.name)
    kind = spec.kind or (built_in.kind if built_in else kinds.with_profile(spec.profile) if spec.profile else None)
    profile = spec.profile or (built_in.profile if built_in else None)
    if kind is None:
        usual = next(kind for kind, declared in declared_by().items() if declared.profiles)
        problems.error(entry.key.mark, f"{entry.subject} needs `kind`", f"write `kind: {usual}`")
        return None
    for field_name, ours, theirs in (
        ("kind", kind, built_in and built_in.kind),
        ("profile", profile, built_in and built_in.profile),
    ):
        if built_in and ours != theirs:
            message = f"`{field_name}` of {entry.subject} is built in and cannot be changed"
            problems.error(entry.value_mark(field_name), message, "declare a provider with a name of its own")
            return None
    if not kinds.check_provider(entry, kind, problems):
        return None
    example = declared_by()[kind].example_urls.get(profile or "") if profile or not built_in else None
    if example and not spec.base_url:
        problems.error(entry.key.mark, f"{entry.subject} needs `base_url`", f"such as `base_url: {example}`")
        return None
    overrides = kinds.overrides_of(entry, kind, problems)
    if overrides is None:
        return None
    return ProviderBlock(
        entry.name,
        kind,
        spec.base_url.rstrip("/") if spec.base_url else None,
        spec.account,
        spec.api_key_env,
        profile,
        overrides,
        entry.key.mark,
        headers=spec.headers or {},
        headers_env=spec.headers_env or {},
        insecure_http=bool(spec.insecure_http),
        retention=spec.retention.asked if spec.retention else Retention(),
        batch=spec.batch is not False,
        parallelism=spec.parallelism,
        rpm=spec.rpm,
        tpm=spec.tpm,
    )


def models_of(
    declared: Declared, providers: dict[str, ProviderBlock | None], problems: Problems
) -> dict[str, Model | None]:
    return {e.name: _model(e, declared, providers, problems) for e in declared.entries["models"].values()}


def _model(
    entry: Entry, declared: Declared, providers: dict[str, ProviderBlock | None], problems: Problems
) -> Model | None:
    is_known = _check_provider(entry, declared, providers, problems)
    spec: ModelSpec | None = entry.spec
    if spec is None:
        return None
    provider = providers.get(spec.provider)
    if not kinds.check_params(entry, provider.kind if provider else "", problems):
        is_known = False
    if check_no_template(entry, ("name", "options"), problems):
        _check_name(entry, provider, problems)
    else:
        is_known = False
    if not _check_params_format(entry, provider, problems):
        is_known = False
    endpoint = spec.endpoint or ENDPOINTS[0]
    price = _price(entry, spec.price, provider, endpoint, problems) if spec.price else None
    options = kinds.options_of(entry, provider.kind, problems) if provider else None
    if not is_known or options is None or (spec.price and not price):
        return None
    if provider and not kinds.takes(provider, Content.RECORDING):  # else a job says what it is asked with
        warn_of_params(entry, endpoint, provider, problems)
    return Model(
        key=entry.name,
        provider=spec.provider,
        name=spec.name,
        endpoint=endpoint,
        params=spec.params or {},
        options=options,
        price=price,
        mark=entry.key.mark,
        places=tuple(_typed(place, provider, endpoint) for place in places_in(entry.value("params"))),
    )


def _check_name(entry: Entry, provider: ProviderBlock | None, problems: Problems) -> None:
    """Refuse a model that its remote is known not to have. What else is wrong with who uses it is told all the same."""
    known = kinds.of(provider).models if provider else ()
    node, name = entry.value("name"), entry.spec.name
    if not known or name in known or node is None:
        return
    near = problems.nearest(name, known)
    hint = f"did you mean `{near}`?" if near else "use one of " + ", ".join(f"`{one}`" for one in known)
    words = f"{entry.subject} is called `{name[:60]}`, and `{entry.spec.provider}` has no such model"
    problems.error(node.mark, words, hint)


def _typed(place: Place, provider: ProviderBlock | None, endpoint: str) -> Place:
    """With what the param takes, where that is known: a number of CSV is text."""
    known = declared_by()[provider.kind].known_params(provider, endpoint) if provider else {}
    kind = known.get(str(place.path[0])) if len(place.path) == 1 else None
    return msgspec.structs.replace(place, reads=kind.reads, words=kind.words) if kind else place


def _check_params_format(entry: Entry, provider: ProviderBlock | None, problems: Problems) -> bool:
    """As of a prompt: it is sent in the same place. Of recordings it is a word, and judged with their other params."""
    params = entry.spec.params or {}
    text = params.get("text")
    formats = {
        ("params", "response_format"): params.get("response_format"),
        ("params", "text", "format"): text.get("format") if isinstance(text, dict) else None,
    }
    is_right = True
    for path, found in formats.items():
        is_flat = path[-1] == "format"
        if not check_format(entry, path, found, problems, is_flat=is_flat):
            is_right = False
        elif provider is not None:
            owner, mark = str(entry.subject), entry.value_mark(*path)
            is_right &= check_schema_name(found, owner, mark, provider, problems, is_flat=is_flat)
    return is_right


def _price(
    entry: Entry, spec: PriceSpec, provider: ProviderBlock | None, endpoint: str, problems: Problems
) -> Price | None:
    """By tokens or by minutes, or None after a problem."""
    mark = entry.key_mark("price")
    if spec.per_minute is not None:
        if provider and not kinds.takes(provider, Content.RECORDING):
            message = f"`price.per_minute` of {entry.subject} is for recordings, and `{provider.name}` takes none"
            problems.error(mark, message, "give the prices of `input` and `output`, per 1M tokens")
            return None
        if spec.input is None and spec.output is None:
            return Price(per_minute=spec.per_minute)
        problems.error(mark, f"`price` of {entry.subject} is by tokens and by minutes", "keep one of the two")
        return None
    needed = {"input": spec.input is None, "output": spec.output is None and endpoint != ENDPOINT_NAMES["embeddings"]}
    for name in (name for name, is_missing in needed.items() if is_missing):
        problems.error(mark, f"`price` of {entry.subject} needs `{name}`")
    return None if any(needed.values()) else Price(spec.input or 0.0, spec.output or 0.0)


def _check_provider(
    entry: Entry, declared: Declared, providers: dict[str, ProviderBlock | None], problems: Problems
) -> bool:
    """Whether the provider a model names can be used; asked of models with other problems too."""
    node = entry.value("provider")
    if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
        return False
    name = node.source
    if name in providers:
        provider = providers[name]
        example = kinds.of(provider).example_urls.get(provider.profile) if provider and provider.profile else None
        if provider and example and not provider.base_url:
            hint = f"declare `providers: {{{name}: {{base_url: {example}}}}}`"
            problems.error(node.mark, f"{entry.subject} uses `{name}`, which needs a `base_url`", hint)
            return False
        return provider is not None
    if not declared.is_whole:
        return False
    near = problems.nearest(name, providers)
    hint = f"did you mean `{near}`?" if near else "declare it under `providers`"
    problems.error(node.mark, f"{entry.subject} uses the unknown provider `{name[:60]}`", hint)
    return False


def datasets_of(declared: Declared, problems: Problems) -> dict[str, Dataset | None]:
    return {e.name: _dataset(e, problems) for e in declared.entries["datasets"].values()}


def _dataset(entry: Entry, problems: Problems) -> Dataset | None:
    spec: DatasetSpec | None = entry.spec
    if spec is None:
        return None
    before = problems.errors
    _check_source(entry, problems)
    files = spec.files or []
    check_no_template(entry, ("files", "paths", "from", "pairs"), problems)
    for index, pattern in enumerate(files):
        _check_data_file(entry, index, pattern, problems)
    for index, pattern in enumerate(spec.paths or []):
        _check_path(entry, "paths", index, pattern, problems)
    if spec.where is not None and "{{" not in spec.where and "{%" not in spec.where:
        problems.error(
            entry.value_mark("where"),
            f"`where` of {entry.subject} holds no template, so it is the same for every row",
            'write the condition in braces, such as `where: "{{ population | int > 1000 }}"`',
        )
    if spec.delimiter is not None and not any(formats.kind_of(name)[0] in (".csv", ".tsv") for name in files):
        hint = "remove the line"
        # files by a glob without a suffix may be CSV, and are not known to be
        if files and not any(formats.kind_of(name)[0] in formats.FORMATS for name in files):
            hint = "write the suffix of the files, such as `data/*.csv`"
        problems.error(entry.key_mark("delimiter"), f"`delimiter` of {entry.subject} is for .csv and .tsv files", hint)
    if problems.errors > before:
        return None
    return Dataset(
        key=entry.name,
        files=tuple(files or spec.paths or ()),
        id=spec.id,
        where=spec.where,
        sample_rows=spec.sample.rows if spec.sample else None,
        sample_seed=(spec.sample.seed or 0) if spec.sample else 0,
        delimiter=spec.delimiter,
        skip_bad=bool(spec.skip_bad),
        mark=entry.key.mark,
        id_mark=entry.value_mark("id"),
        where_mark=entry.value_mark("where"),
        chain=chain_of(entry),
        are_paths=spec.paths is not None,
    )


_NOT_OF_PAIRS = {
    "id": "remove it: ids are those of the two jobs, with `-ab` or `-ba`",
    "sample": "sample the dataset of the two jobs, or choose items with `where`",
    "skip_bad": "remove it: a pair is asked about in both orders, or not at all",
}


def _check_source(entry: Entry, problems: Problems) -> None:
    """Rows are of files, or of what another job has answered."""
    spec: DatasetSpec = entry.spec
    written = [name for name in ("files", "paths", "from", "pairs") if entry.value(name) is not None]
    if not written:
        problems.error(entry.key.mark, f"{entry.subject} needs `files`, or `from` for the answers of a job")
    elif len(written) > 1:
        words = f"{entry.subject} has both `{written[0]}` and `{written[1]}`"
        problems.error(entry.key_mark(written[1]), words, "keep one of the two")
    if spec.orders is not None and spec.pairs is None:
        words = f"`orders` of {entry.subject} says how pairs are shown, and there are no `pairs`"
        problems.error(entry.key_mark("orders"), words, "remove the line")
    for name, hint in _NOT_OF_PAIRS.items() if spec.pairs is not None else ():
        if entry.value(name) is not None:
            problems.error(entry.key_mark(name), f"`{name}` of {entry.subject} means nothing to `pairs`", hint)
    if spec.as_ is not None and spec.from_ is None:
        words = f"`as` of {entry.subject} names the answers of a job, and there is no `from`"
        problems.error(entry.key_mark("as"), words, "remove the line")


def _check_path(entry: Entry, field: str, index: int, pattern: str, problems: Problems) -> Mark | None:
    """Its place, or None after a problem."""
    node = entry.value(field)
    mark: Mark = node.items[index].mark if isinstance(node, Sequence) else entry.value_mark(field)
    if not pattern.isprintable():
        problems.error(mark, f"`{field}` of {entry.subject} must not hold control characters")
        return None
    if is_too_long(pattern):
        problems.error(mark, f"`{field}` of {entry.subject} holds a path that is too long")
        return None
    return mark


def _check_data_file(entry: Entry, index: int, pattern: str, problems: Problems) -> None:
    mark = _check_path(entry, "files", index, pattern, problems)
    if mark is None:
        return
    form, packing = formats.kind_of(pattern)
    stem = posixpath.basename(pattern)[: -len(packing) or None]
    if form in formats.FORMATS or any(char in form or (not form and char in stem) for char in "*?["):
        return
    hint = formats.way_to_data(pattern)
    problems.error(mark, f"`files` of {entry.subject} names `{pattern[:80]}`, which is not a known format", hint)


def prompts_of(
    declared: Declared, root: Path, answers: Answers, unsent: set[SentFile], problems: Problems
) -> dict[str, Prompt | None]:
    """unsent: files of prompts that are never sent, which was told."""
    bad = {one.subject for one in unsent if one.noun == "prompt"}
    return {
        entry.name: None if entry.subject in bad else _prompt(entry, root, answers, declared.layers.filling, problems)
        for entry in declared.entries["prompts"].values()
    }


def files_of_prompts(declared: Declared) -> Iterator[SentFile]:
    """The files that hold what is asked."""
    for entry in declared.entries["prompts"].values():
        for file, mark in _files_in(entry) if entry.spec else ():
            yield SentFile(entry.subject, file, mark)


def _files_in(entry: Entry) -> Iterator[tuple[str, Mark]]:
    """The files of one prompt, and where they are named."""
    spec: PromptSpec = entry.spec
    if spec.file is not None:
        yield spec.file, entry.value_mark("file")
    if isinstance(spec.system, dict):
        yield spec.system["file"], entry.value_mark("system", "file")
    for index, message in enumerate(spec.messages or ()):
        if message.file is not None:
            yield message.file, _message_mark(entry, index, "file")


def _prompt(entry: Entry, root: Path, answers: Answers, filling: Filling, problems: Problems) -> Prompt | None:
    spec: PromptSpec | None = entry.spec
    if spec is None:
        return None
    wanted = answers.get((entry.section, entry.name)) if spec.answer else None
    messages = _messages(entry, spec, root, filling, problems)
    is_whole = check_no_template(entry, ("response_format", "tools", "file"), problems)
    is_whole = check_format(entry, ("response_format",), spec.response_format, problems) and is_whole
    if messages is None or not is_whole or (spec.answer and wanted is None):
        return None
    column = spec.tools["from"] if isinstance(spec.tools, dict) else ""
    prompt = Prompt(
        entry.name,
        messages,
        spec.response_format,
        tuple(spec.tools) if spec.tools and not column else None,
        entry.key.mark,
        tools_column=column,
        tools_mark=entry.value_mark("tools", "from") if column else Mark(""),
    )
    return prompt if wanted is None else with_answer(prompt, wanted, entry, problems)


def _messages(
    entry: Entry, spec: PromptSpec, root: Path, filling: Filling, problems: Problems
) -> tuple[Message, ...] | None:
    """The messages in order, or None after a problem: exactly one of `user`, `messages`, `file`."""
    given = [name for name in ("user", "messages", "file") if getattr(spec, name) is not None]
    if not given:
        problems.error(entry.key.mark, f"{entry.subject} needs `user`, `messages` or `file`")
        return None
    if spec.messages is not None and spec.system is not None:
        given.append("system")
    if len(given) > 1:
        message = f"{entry.subject} has both `{given[0]}` and `{given[1]}`"
        hint = "put all of it into `messages`" if "messages" in given else "keep one of the two"
        problems.error(entry.key_mark(given[1]), message, hint)
        return None
    if spec.messages is not None:
        said = [_listed_message(entry, index, root, filling, problems) for index in range(len(spec.messages))]
        return _all(said)
    user = _user_message(entry, spec, root, filling, problems)
    if spec.system is None:
        return _all([user])
    if isinstance(spec.system, dict):
        mark = entry.value_mark("system", "file")
        return _all([_from_file(entry, "system", spec.system["file"], mark, root, filling, problems), user])
    return _all([Message("system", spec.system, entry.value_mark("system")), user])


def _all(messages: list[Message | None]) -> tuple[Message, ...] | None:
    found = tuple(message for message in messages if message is not None)
    return found if len(found) == len(messages) else None


def _listed_message(entry: Entry, index: int, root: Path, filling: Filling, problems: Problems) -> Message | None:
    """One of `messages`: its text is written there, or in a file."""
    said = entry.spec.messages[index]
    if said.from_ is not None:
        mark = _message_mark(entry, index, "from")
        return Message("", "", mark, mark, column=said.from_)
    role_mark = _role_mark(entry, index)
    fields = said.of_tools
    places = tuple(place for place in _places_of(entry, index) if place.path[0] in fields)
    if isinstance(said.content, list):
        mark = _message_mark(entry, index)
        return Message(said.role, parts_of(said.content, _content_of(entry, index)), mark, role_mark, fields, places)
    if said.file is None:
        mark = _message_mark(entry, index)
        return Message(said.role, said.content or "", mark, role_mark, fields=fields, places=places)
    mark = _message_mark(entry, index, "file")
    found = _from_file(entry, said.role, said.file, mark, root, filling, problems)
    return found and msgspec.structs.replace(found, role_mark=role_mark, fields=fields, places=places)


def _turn(entry: Entry, index: int) -> Node | None:
    """One of `messages` as it is written; a mapping in their place is the only one."""
    node = entry.value("messages")
    return node.items[index] if isinstance(node, Sequence) else node


def _message_mark(entry: Entry, index: int, field: str = "content") -> Mark:
    content = _content_of(entry, index, field)
    if isinstance(content, Sequence):
        return content.mark
    return content.text_mark if isinstance(content, Scalar) else entry.key.mark


def _content_of(entry: Entry, index: int, field: str = "content") -> Node | None:
    item = _turn(entry, index)
    return item.get(field) if isinstance(item, Mapping) else None


def _role_mark(entry: Entry, index: int) -> Mark:
    item = _turn(entry, index)
    role = item.get("role") if isinstance(item, Mapping) else None
    return role.mark if role else entry.key.mark


def _places_of(entry: Entry, index: int) -> tuple[Place, ...]:
    return places_in(_turn(entry, index), is_template=BRACES)


def _user_message(entry: Entry, spec: PromptSpec, root: Path, filling: Filling, problems: Problems) -> Message | None:
    if spec.file is None:
        assert spec.user is not None
        if isinstance(entry.node, Scalar):  # the whole prompt is one text
            return Message("user", spec.user, entry.node.text_mark)
        if isinstance(spec.user, list):
            node = entry.value("user")
            return Message("user", parts_of(spec.user, node), node.mark if node else entry.key.mark)
        return Message("user", spec.user, entry.value_mark("user"))
    return _from_file(entry, "user", spec.file, entry.value_mark("file"), root, filling, problems)


def _from_file(
    entry: Entry, role: str, file: str, mark: Mark, root: Path, filling: Filling, problems: Problems
) -> Message | None:
    """A message whose template lies in a file of its own. mark: where that is named."""
    text = _prompt_file(entry, file, mark, root, problems)
    if text is None:
        return None
    start = Mark(posixpath.normpath(file), 1, 1)
    return Message(role, filling.text(text, start, f"the file of {entry.subject}"), start)


def _prompt_file(entry: Entry, file: str, mark: Mark, root: Path, problems: Problems) -> str | None:
    """The template in a file of its own, with `\\n` between lines however it was checked out."""
    if not file.isprintable() or not is_below(root, file):
        message = f"`file` of {entry.subject} must be a file below the project root"
        problems.error(mark, message, "give a path relative to the root, such as `prompts/question.md`")
        return None
    if not os.path.isfile(root / file):  # noqa: PTH113  # never raises: a name may be too long to ask for
        problems.error(mark, f"{entry.subject}: no such file: `{file[:120]}`", "paths start at the project root")
        return None
    text = read_text(root / file, posixpath.normpath(file), problems, mark)
    if text is not None and not text.strip():
        problems.error(mark, f"the file `{file[:120]}` of {entry.subject} is empty")
        return None
    if text is not None and has_both_sides(text) and (conflict := conflict_in(text, posixpath.normpath(file))):
        # both sides would be asked, and paid for
        problems.error(*conflict, "resolve the conflict first; where the line is meant, put a blank before it")
        return None
    # else a checkout on Windows would make every request a new one, to be paid for again
    return None if text is None else text.replace("\r\n", "\n").replace("\r", "\n")


def body_of(entry: Entry) -> Prompt:
    """What a job with a `body` asks: it is a prompt without a name."""
    given, mark = entry.spec.body, entry.value_mark("body")
    if given.keys() == {"from"} and isinstance(given["from"], str):
        body = Body(column=given["from"], mark=entry.value_mark("body", "from"))
    else:
        body = Body(tree=given, places=places_in(entry.value("body"), is_template=BRACES), mark=mark)
    return Prompt(entry.name, (), mark=entry.key.mark, body=body)
