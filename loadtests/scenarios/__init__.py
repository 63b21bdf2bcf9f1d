"""The scenarios: one file each, of one shape.

A scenario's module is named like it, with `_` for `-`, and has

* ``ROUTES``: names of the routes it needs, each served at ``NAME.loadtest.localhost``;
* ``WANTED``: names of requests without which a run has shown nothing;
* ``users(site)``: the classes of its Locust users.

A user says with each request what its answer must be (`loadtests.expecting`), so that a count of failures is a
count of surprises.
"""

from typing import Final

__all__ = ["SCENARIOS"]

SCENARIOS: Final = {
    "browse": "people who read pages, fetch their pictures and now and then send a form",
    "burst": "everybody comes at the same moment, on new connections and on kept ones",
    "slow-clients": "heads, bodies and readers that trickle, beside clients in a hurry",
    "streams": "many requests at once on connections of HTTP/2, some of them reset",
    "sockets": "WebSockets that talk, and that come and go, beside requests",
    "config-churn": "routes made, changed and removed while traffic runs",
}
"""The scenarios by name, with what each is about."""
