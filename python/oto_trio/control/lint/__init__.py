"""`oto-trio lint`: what is legal in a configuration and most likely not meant, or dangerous.

`finding` says what a finding and a rule are, `ground` gives the rules what they look at, `rules` has one
file a rule, and `run` asks them all. Whether a configuration works at all is `checking`'s question; its
answers are among the findings.
"""

from oto_trio.control.lint.finding import SEVERITIES, Finding, Rule, Severity
from oto_trio.control.lint.ground import Ground
from oto_trio.control.lint.rules import RULES
from oto_trio.control.lint.run import IGNORE_KEY, run_rules

__all__ = [
    "IGNORE_KEY",
    "RULES",
    "SEVERITIES",
    "Finding",
    "Ground",
    "Rule",
    "Severity",
    "run_rules",
]
