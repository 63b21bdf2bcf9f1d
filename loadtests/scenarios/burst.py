"""burst: everybody comes at the same moment, on new connections and on kept ones.

All users act in the same second, each with as many requests as it can make in a row, then all are silent.
"""

from typing import Any

from locust import FastHttpUser, constant_pacing, task

from loadtests.expecting import Expected, ask
from loadtests.site import Site

ROUTES = ("sale",)
WANTED = ("kept connection", "new connection")
IN_A_ROW = 15


def users(site: Site) -> list[type[Any]]:
    """Return the kinds of users."""
    del site

    class Regular(FastHttpUser):
        """Keeps the connection between bursts."""

        wait_time = constant_pacing(1.0)

        @task
        def burst(self) -> None:
            """Make many requests in a row."""
            for number in range(IN_A_ROW):
                path = f"/item/{number}"
                item = Expected(body=path.encode())
                ask(self.client, "kept connection", "GET", "sale", path, item)

    class Newcomer(FastHttpUser):
        """Makes a connection for each request."""

        wait_time = constant_pacing(1.0)

        @task
        def burst(self) -> None:
            """Make many connections in a row."""
            close = {"Connection": "close"}
            for number in range(IN_A_ROW):
                path = f"/item/{number}"
                item = Expected(body=path.encode())
                ask(self.client, "new connection", "GET", "sale", path, item, headers=close)

    return [Regular, Newcomer]
