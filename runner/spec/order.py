"""Which jobs come before which: `needs` and `from`, and no circles in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from runner.errors import Mark
from runner.job.address import name_of
from runner.spec.chains import datasets_in, followed, judged_by
from runner.spec.declared import Declared, Entry
from runner.spec.nodes import Scalar, Sequence
from runner.spec.placed import name_wrong, text_of
from runner.spec.problems import Problems


class _Need(msgspec.Struct, frozen=True):
    name: str
    mark: Mark


def check_order(declared: Declared, problems: Problems) -> None:
    """Every job that another needs is declared, and none needs or follows itself by any way round."""
    known = declared.entries["jobs"]
    needs: dict[str, list[_Need]] = {}
    for entry in known.values():
        seen: set[str] = set()
        for need in _written(entry):
            if need.name in seen:
                words = f"`needs` of {entry.subject} names `{need.name[:60]}` twice"
                problems.error(need.mark, words, "remove one of the two")
            elif need.name in known:
                needs.setdefault(entry.name, []).append(need)
            elif check := judged_by(need.name, known):
                job = need.name.partition(".")[0]
                words = f"{entry.subject} needs `{need.name[:120]}`, which is the judge of check `{check[:60]}`"
                hint = f"need `{job}`, and say what it has to `expect` of `{check}`: that waits for the verdicts"
                problems.error(need.mark, words, hint if job != entry.name else "remove it: its judge comes after it")
            elif declared.is_whole:
                near = problems.nearest(need.name, known)
                hint = f"did you mean `{near}`?" if near else "declare it under `jobs`"
                problems.error(need.mark, f"{entry.subject} needs the unknown job `{need.name[:60]}`", hint)
            seen.add(need.name)
        for dataset in datasets_in(entry, declared):
            for text, node in followed(dataset):
                if name_of(text) in known:  # who is not is told of by those who look at datasets
                    needs.setdefault(entry.name, []).append(_Need(name_of(text), node.mark))
    for path in _circles(needs):
        first = next(need for need in needs[path[0]] if need.name == path[1])
        if len(path) == 2:
            is_need = any(need.mark == first.mark for need in _written(known[path[0]]))
            words = "needs itself" if is_need else "follows itself"
            problems.error(first.mark, f"job `{path[0]}` {words}", "remove it")
        else:
            shown = " -> ".join(f"`{name}`" for name in path)
            problems.error(first.mark, f"jobs need each other in a circle: {shown}", "one of them has to come first")


def _written(entry: Entry) -> Iterator[_Need]:
    node = entry.value("needs")
    for item in node.items if isinstance(node, Sequence) else [node]:
        if isinstance(item, Scalar) and text_of(item) and not name_wrong(item.source):  # what is no name was told of
            yield _Need(item.source, item.mark)


def _circles(needs: Mapping[str, list[_Need]]) -> Iterator[list[str]]:
    """Each circle once, from the first of its jobs in the order of the alphabet back to it."""
    done: set[str] = set()
    told: set[frozenset[str]] = set()
    for start in sorted(needs):
        # a loop and not a recursion: a project may have thousands of jobs in one row
        path, waiting = [start], [iter(needs[start])]
        while waiting:
            need = next(waiting[-1], None)
            if need is None:
                waiting.pop()
                done.add(path.pop())
            elif need.name in path:
                circle = path[path.index(need.name) :]
                if frozenset(circle) not in told:
                    told.add(frozenset(circle))
                    first = circle.index(min(circle))
                    yield [*circle[first:], *circle[:first], circle[first]]
            elif need.name not in done and need.name in needs:
                path.append(need.name)
                waiting.append(iter(needs[need.name]))
