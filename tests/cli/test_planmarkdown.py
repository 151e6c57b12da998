"""A plan as a comment of a pull request, read by a library that others wrote."""

from __future__ import annotations

import re
from typing import Any

from markdown_it import MarkdownIt
from msgspec.structs import replace

from runner.cli.lines import LineView
from runner.cli.planmarkdown import MOST_CHARS, fenced, markdown_of, marker
from runner.cli.views import GroupView, JobView, PlanView, State
from runner.plan.compared import RECORDED, Changed, RequestDiff

NASTY = (
    "a|b <script>x</script> **bold** [link](http://evil.example) `code` ``` @octocat #12 :tada: ![i](j) --> www.evil.ex"
)
LINE = LineView("-/+", "replace", "4 requests in 1 batch, $1.00", "every request changed", rows=4, usd=1.0)
WORD = Changed("prompt.user", "prompts/base.md.j2:3", "Say", "Tell", kind="text")
DIFF = RequestDiff("r1", RECORDED, "", (" user:", "-  Say word", "+  Tell word"))


def job(address: str, state: State = State.PAYING, **more: Any) -> JobView:
    counts = {"wanted": 4, "ok": 0, "error": 0, "not_sent": 4, "in_flight": 0, "unknown": 0, "needs_decision": 0}
    return JobView(address, "specs/a.yaml:3", state, (LINE,), **counts, to_submit=4, requests=4, usd=1.0, **more)


def plan(*groups: tuple[GroupView, list[JobView]], **more: Any) -> PlanView:
    about = {"parts": ("8 requests to send in 2 batches", "1 job blocked"), "cost": "at most $2.00", "project": "lab"}
    return PlanView(
        3,
        jobs=tuple(job for _, jobs in groups for job in jobs),
        groups=tuple(group for group, _ in groups),
        summary="",
        leftovers=(),
        is_empty=False,
        goes_on=True,
        **{"unchanged": 3, "requests": 8, "gates": {"met": 2, "unmet": 1}, **about, **more},
    )


def group(*jobs: JobView, **more: Any) -> tuple[GroupView, list[JobView]]:
    lines = more.pop("lines", (LINE,))
    return GroupView(jobs[0].state, tuple(one.address for one in jobs), lines, jobs[0].changed, **more), list(jobs)


def rendered(view: PlanView) -> str:
    return MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown_of(view, "runner apply specs/"))


CELLS = [job(f"compare:model=m{n}", changed=(WORD,), diffs=(DIFF,)) for n in range(14)]


def test_dollars_and_gates_come_first_and_the_rest_is_folded() -> None:
    told = markdown_of(plan(group(*CELLS)), "runner apply specs/")
    first, second, third = told.split("\n", 3)[:3]
    assert first == marker("lab") == "<!-- runner plan lab -->" and not second
    assert third == (
        "**at most \\$2.00** · 8 requests to send in 2 batches · 🚫 **1 job blocked** · "
        "❌ gates: 2 met, 1 unmet · 3 jobs unchanged"
    )
    shown, _, hidden = rendered(plan(group(*CELLS))).partition("<details>")
    assert "14 jobs: prompts/base.md.j2:3" in shown and "- Say\n+ Tell" in shown and "Say word" not in shown
    assert hidden.count("<tr>") == 15 and "<summary>Row r1 of compare:model=m0 and 13 more jobs</summary>" in hidden
    assert "-  Say word\n+  Tell word" in hidden and "<code>runner apply specs/</code> does this" in hidden
    assert markdown_of(plan(group(*CELLS)), "x") == markdown_of(plan(group(*CELLS)), "x")


def test_nothing_of_a_stranger_is_a_mark_a_link_or_a_mention() -> None:
    changed = (Changed(NASTY, NASTY, NASTY, NASTY, kind="text"), Changed("params.x", NASTY, NASTY, "b"))
    nasty = job(
        NASTY,
        changed=changed,
        diffs=(RequestDiff(NASTY, RECORDED, NASTY, (f" {NASTY}", "-```", "+~~~", " </details>")),),
    )
    line = LineView("±", "delta", NASTY, NASTY, unblock=(NASTY,), ids=(NASTY, "r2"), rows=9)
    more = {"notes": (NASTY,), "warnings": (NASTY,), "not_asked": {NASTY: NASTY}, "project": NASTY, "digest": NASTY}
    for jobs in ([nasty], [nasty, replace(nasty, address=f"{NASTY}2")]):
        told = rendered(plan(group(*jobs, lines=(line,), since=NASTY), **more))
        assert told.startswith("<!-- runner plan ") and "-->" not in told.split("\n")[0][:-3]
        tags = set(re.findall(r"</?([a-z0-9]+)", re.sub(r"<!--.*?-->", "", told)))
        allowed = {"p", "strong", "h4", "sub", "pre", "code", "ul", "li", "details", "summary", "blockquote"}
        assert tags <= allowed | {"table", "thead", "tbody", "tr", "th", "td"}
        assert told.count("<details>") == told.count("</details>")
        words = re.sub(r"<code.*?</code>|<!--.*?-->", "", told, flags=re.S)
        assert not re.search(r"://|@octocat|#12|:tada:|www\.|<strong>bold", words)
        assert len({row.count("<td") + row.count("<th") for row in re.findall(r"<tr>.*?</tr>", told, re.S)}) <= 1


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fenced(["+ ````", "- a"]) == "`````diff\n+ ````\n- a\n`````"
    assert fenced(["+\x1b[31m\u202e::warning::x"]).count("\n") == 2 and "\x1b" not in fenced(["+\x1b"])
    assert fenced([]) == ""


def test_it_fits_into_a_comment_and_says_what_does_not() -> None:
    diffs = tuple(RequestDiff(f"r{n}", RECORDED, "", ("+" + "x" * 500,) * 20) for n in range(30))
    big = [group(job(f"job{n}", changed=(WORD,), diffs=diffs)) for n in range(40)]
    told = markdown_of(plan(*big), "runner apply")
    assert 40_000 < len(told) < MOST_CHARS
    assert told.count("\n#### ") == 40, "what is to be paid comes before requests side by side"
    assert re.search(r"_Left out to fit into a comment: 1,\d+ folded parts; `runner plan` says it all._", told)
    many = [group(job("j" * 300 + str(n))) for n in range(2_000)]
    told = markdown_of(plan(*many), "runner apply")
    assert len(told) < MOST_CHARS and re.search(r"comment: 1,\d+ groups of jobs", told)
    long = [job("j" * 200 + str(n), changed=(WORD,)) for n in range(3_000)]
    assert len(markdown_of(plan(group(*long)), "runner apply")) < MOST_CHARS
    wide = replace(LINE, unblock=("runner retry " + "y" * 40_000,), why="z" * 70_000)
    assert len(markdown_of(plan(group(job("a"), lines=(wide,))), "runner apply")) < MOST_CHARS
    assert len(markdown_of(plan(group(job("a")), warnings=("w" * 9_000,) * 20), "runner apply")) < MOST_CHARS
