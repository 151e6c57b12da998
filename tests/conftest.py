"""For every test: a busy machine is no counterexample, and the same commit has the same outcome.

Property tests try the same examples in each run, so that a build never fails for what another commit did.
`pytest --hypothesis-profile=search` looks for new ones.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("shared", settings.get_profile("search"), derandomize=True)
settings.load_profile("shared")
