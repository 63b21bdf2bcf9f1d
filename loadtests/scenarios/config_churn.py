"""config-churn: routes made, changed and removed while traffic runs.

Each editor has a route of its own, and asks through it right after each change that it waited for. The others
use a route that nobody touches, on kept connections, and must not notice.
"""

import itertools
from typing import Any

from locust import FastHttpUser, between, task

from loadtests.expecting import Expected, ask
from loadtests.site import ROUTES as PATH
from loadtests.site import Site, route

ROUTES = ("steady",)
WANTED = ("steady traffic", "route made", "route changed", "route removed", "edited route")


def users(site: Site) -> list[type[Any]]:
    """Return the kinds of users."""
    names = itertools.count()

    class Bystander(FastHttpUser):
        """Uses a route that stays as it is."""

        weight = 3
        wait_time = between(0.0, 0.01)

        @task
        def ask(self) -> None:
            """Ask for something small."""
            ask(
                self.client,
                "steady traffic",
                "GET",
                "steady",
                "/",
                Expected(body=b"/", version="1"),
            )

    class Editor(FastHttpUser):
        """Changes a route again and again."""

        weight = 1
        wait_time = between(0.0, 0.01)

        def on_start(self) -> None:
            """Take a name that nobody else has."""
            self.name = f"edited-{next(names)}"

        @task
        def edit(self) -> None:
            """Make a route, change it three times and remove it."""
            self.change("POST", "route made", 201, "", "1")
            self.see(200, "1")
            for version in ("2", "3", "4"):
                self.change("PUT", "route changed", 200, f"/loadtest-{self.name}", version)
                self.see(200, version)
            self.change("DELETE", "route removed", 200, f"/loadtest-{self.name}", None)
            self.see(404, None)

        def change(
            self, method: str, name: str, status: int, path: str, version: str | None
        ) -> None:
            """Call the admin API and wait until every worker serves the change."""
            document = None if version is None else route(self.name, site.upstream, version)
            with self.client.request(
                method,
                f"{site.admin}{PATH}{path}?wait=applied",
                name=name,
                json=document,
                headers={"Authorization": site.key.header},
                catch_response=True,
            ) as answer:
                if answer.status_code != status:
                    answer.failure(f"{answer.status_code} {answer.error}: {answer.text}")
                elif answer.headers.get("Oto-Trio-Applied") != "true":
                    answer.failure("it was answered before it was applied")
                else:
                    answer.success()

        def see(self, status: int, version: str | None) -> None:
            """Ask through the route, which must be as it was left."""
            expected = Expected(status, version=version)
            ask(self.client, "edited route", "GET", self.name, "/", expected)

    return [Bystander, Editor]
