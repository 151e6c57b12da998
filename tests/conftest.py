"""For every test: a busy machine is no counterexample, and the same commit has the same outcome.

Property tests try the same examples in each run, so that a build never fails for what another commit did.
`pytest --hypothesis-profile=search` looks for new ones.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("shared", settings.get_profile("search"), derandomize=True)
settings.load_profile("shared")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Two for each core: tests of remotes that are slow, or say later, wait a third of their time."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # what it says
    return 2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2 * (os.cpu_count() or 1)
