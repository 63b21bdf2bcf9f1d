"""What can keep a load test from being run at all."""


class LoadTestError(Exception):
    """The load test cannot be run; the message says why and what to do."""
