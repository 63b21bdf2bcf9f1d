"""What can go wrong with a bench, by what the command line does about it."""


class BenchError(Exception):
    """The bench cannot go on: a tool or a peer is missing, or did not start. Exit code 2."""


class InvalidRunError(Exception):
    """One run saw an error, so its numbers mean nothing; the other runs go on. Exit code 1."""
