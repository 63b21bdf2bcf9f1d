"""What every test gets: a hypothesis profile, and the option ``--shuffle-deadlines``.

`HYPOTHESIS_PROFILE` picks how hard property tests try:

* ``fast`` (the default) for a desk: the same examples at every run, so that what is red was made red by a change,
* ``ci`` for continuous integration: likewise, and more of them,
* ``slow`` for a night: others each time.
"""

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.halted_processes", "tests.shuffled_deadlines")

settings.register_profile(
    "fast",
    max_examples=50,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "slow",
    max_examples=5_000,
    deadline=timedelta(seconds=10),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
