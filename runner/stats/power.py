"""What a run can show at all."""

from __future__ import annotations

from runner.stats.quantiles import Z, normal_quantile

FEW_CLUSTERS = 30  # below, standard errors are themselves so uncertain that it is said aloud

_OF_STANDARD_ERRORS = Z + normal_quantile(0.8)


def detectable(se: float) -> float:
    """The smallest true difference that a difference with this standard error finds in four of five runs, at 5 %."""
    return _OF_STANDARD_ERRORS * se
