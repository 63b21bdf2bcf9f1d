"""The benches: oto-trio beside other gateways, on the same traffic, by the same clock.

`python -m benches` (or `make bench`) starts an upstream, a load generator and each proxy on
loopback, pinned to cores, and compares what a request costs them. docs/performance.md says how
it measures and holds the table as last measured.

Where to look: `contest.py` runs a scenario, `scenarios/` has one file a scenario, `peers/` one
file a proxy, `procfs.py` the clock, `load/` and `h3load/` the generators that are more
than a closed loop.
"""
