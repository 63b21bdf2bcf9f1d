"""Load tests: Locust drives a running gateway on loopback, and any unexpected error is a failure.

`make load` runs every scenario for a short while; `docs/load-tests.md` says how to run more. The benches
(`benches/`) measure what a request costs; these look for what breaks when much happens at once.

    command_line    reads the arguments, runs the scenarios, prints the table, decides the exit code
    site            the gateway under test, its admin API, and the backend behind it
    upstream        that backend, a process of its own
    locust_run      one scenario in Locust
    verdict         what came out, and whether it is good
    expecting       a request, and what its answer must be
    scenarios/      one file each, of one shape

Locust patches the standard library for gevent as soon as it is imported, so only `locust_run` and the
scenarios import it, and the command line imports them last.
"""
