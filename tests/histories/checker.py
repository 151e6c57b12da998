"""Was the promise kept? The remote's ledger and the results files, held against each other by rules of their own.

Twice is what the ledger answered twice. It is counted where runner named one of the batches as a duplicate, counted
it as possible, or had been told to ask again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.histories.clone import Clone
from tests.histories.history import History
from tests.histories.ledger import Ledger, Made

_COUNTING = re.compile(r"duplicate|overlap|twice|given up", re.IGNORECASE)
_POSSIBLE = re.compile(r"([\d,]+) possible duplicate")


def check(history: History) -> None:
    """Blame the history for every broken promise. To be asked once everything has settled."""
    ledger = history.ledger
    check_twice(history, ledger)
    for clone in history.clones:
        check_outputs(history, ledger, clone)


def check_twice(history: History, ledger: Ledger) -> None:
    named = _named_as_duplicates(history, ledger)
    uncounted = []
    for key, batches in ledger.answered().items():
        if len(batches) < 2:
            continue
        history.twice += 1
        text = ledger.texts[key]
        if all(_is_explained(history, text, batches[:at], batches[at], named) for at in range(1, len(batches))):
            history.counted += 1
        else:
            uncounted.append((text, [batch.id for batch in batches]))
    possible = sum(_possible_duplicates(clone) for clone in history.clones)
    if len(uncounted) > possible:
        text, ids = uncounted[0]
        history.blame(
            f"twice: {len(uncounted)} requests were paid for twice and {possible} are counted; "
            f"`{text}` in {', '.join(ids)}"
        )
    else:
        history.counted += len(uncounted)


def _is_explained(history: History, text: str, earlier: Sequence[Made], later: Made, named: set[str]) -> bool:
    if later.id in named or any(batch.id in named for batch in earlier):
        return True
    return any(
        earlier[-1].at <= consent.at <= later.at and (consent.texts is None or text in consent.texts)
        for consent in history.consents
    )


def _named_as_duplicates(history: History, ledger: Ledger) -> set[str]:
    """The batches that runner called duplicates, in any command."""
    lines = [line for clone in history.clones for done in clone.done for line in done.said.splitlines()]
    counting = "\n".join(line for line in lines if _COUNTING.search(line))
    return {batch for batch in ledger.batches if batch in counting}


def _possible_duplicates(clone: Clone) -> int:
    counts = [int(n.replace(",", "")) for done in clone.done for n in _POSSIBLE.findall(done.said)]
    return max(counts, default=0)


def check_outputs(history: History, ledger: Ledger, clone: Clone) -> None:
    """In the end each wanted row has one line, in order, with an answer that the ledger gave to exactly its request."""
    for job in clone.wanted.jobs:
        asked, lines = clone.wanted.requests(job), clone.lines(job)
        where = f"{clone.name}: {job.output}"
        if lines is None:
            history.blame(f"lost: {where} is not there")
            continue
        names = [line["custom_id"] for line in lines]
        if names != [name for name, _ in asked]:
            history.blame(
                f"outputs: {where}: its rows are {names[:5]}..., wanted are {[name for name, _ in asked][:5]}..."
            )
            continue
        for (name, text), line in zip(asked, lines, strict=True):
            answers = ledger.answers_to(text)
            if line["answer"] is None:
                told = f"the ledger answered `{answers[0]}`" if answers else "the ledger never answered it"
                history.blame(f"lost: {where}: {name} has no answer: {line['error']}; {told}")
            elif line["answer"] not in answers:
                history.blame(f"outputs: {where}: {name} shows `{line['answer']}`; the ledger has {list(answers)[:3]}")
