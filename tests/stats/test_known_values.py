"""Published facts that the statistics must agree with; `known_values.json` names the source of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.stats import agreement, exact, f1, influence, intervals, multiple, paired, power, quantiles

FACTS = json.loads(Path(__file__).with_name("known_values.json").read_text())["facts"]
ELSEWHERE = {"wer", "cer", "bca_bootstrap_95_of_mean (cross-check in tests only)"}  # of checks; of another method


def wilson(successes: int, n: int) -> dict[str, Any]:
    return intervals.of_rate(successes, n)._asdict()


def newcombe(x1: int, n1: int, x2: int, n2: int) -> dict[str, Any]:
    return paired.of_independent(x1, n1, x2, n2)._asdict()


def newcombe_paired(**counts: int) -> dict[str, Any]:
    pairs = paired.Pairs(**counts)
    return {"difference": pairs.difference, **paired.of_pairs(pairs)._asdict()}


def mcnemar(only_first: int, only_second: int) -> dict[str, Any]:
    p = exact.two_sided(only_first, only_second)
    return {"p_exact": p, "p_mid": p - exact.chance_of(only_first, only_second)}


def t(p: float, df: int) -> dict[str, Any]:
    return {"value": quantiles.t_quantile(p, df)}


def mean(values: list[float], clusters: list[int] | None = None) -> dict[str, Any]:
    sums = influence.Sums(2)
    whose = clusters or range(len(values))
    for cluster in sorted(set(whose)):
        mine = [value for value, of in zip(values, whose, strict=True) if of == cluster]
        sums.add([sum(map(influence.fixed, mine)), influence.fixed(len(mine))])
    estimate = influence.estimate_of_ratio(sums)
    return {"mean": estimate.value, "se": estimate.se}


def kappa(table: list[list[int]]) -> dict[str, Any]:
    found = agreement.cohens_kappa(table)
    return {"kappa": found.kappa, "se": found.kappa_se}


def hochberg(p: list[float]) -> dict[str, Any]:
    adjusted = multiple.benjamini_hochberg(p)
    return {"adjusted": adjusted, "rejected_at_0_05": sum(one < 0.05 for one in adjusted)}


def macro_f1(expected: list[int], got: list[int], classes: list[int]) -> dict[str, Any]:
    counts = Counter((str(one), str(other)) for one, other in zip(expected, got, strict=True))
    found = f1.macro_f1(counts)
    assert set(found.by_class) == set(map(str, classes))
    right = sum(count for (one, other), count in counts.items() if one == other)
    return {"macro_f1": float(found.value), "accuracy": right / len(expected)}


METHODS: dict[str, Callable[..., dict[str, Any]]] = {
    "wilson_interval_95": wilson,
    "newcombe_difference_95": newcombe,
    "newcombe_paired_difference_95": newcombe_paired,
    "mcnemar_exact_two_sided": mcnemar,
    "t_quantile": t,
    "clustered_standard_error_of_mean": mean,
    "standard_error_of_mean": mean,
    "cohens_kappa": kappa,
    "benjamini_hochberg": hochberg,
    "macro_f1": macro_f1,
    "minimum_detectable_difference (80 % power, alpha 0.05, two-sided)": lambda se_of_difference: {
        "value": power.detectable(se_of_difference)
    },
    "sign_test_two_sided": lambda wins, losses: {"p": exact.two_sided(wins, losses)},
}


@pytest.mark.parametrize(
    "fact", [fact for fact in FACTS if fact["method"] not in ELSEWHERE], ids=lambda fact: str(fact["id"])
)
def test_a_published_fact(fact: dict[str, Any]) -> None:
    found = METHODS[fact["method"]](**fact["inputs"])
    for name, value in fact["expect"].items():
        assert found[name] == pytest.approx(value, abs=fact["tolerance"], rel=0), name


def test_every_fact_is_of_a_method_that_is_known() -> None:
    assert {fact["method"] for fact in FACTS} == set(METHODS) | ELSEWHERE
    assert len(FACTS) == 39
