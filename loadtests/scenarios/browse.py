"""browse: people who read pages, fetch their pictures and now and then send a form.

Kept connections, short pauses, answers of many sizes, a few pages that are not there.
"""

import random
from typing import Any

from locust import FastHttpUser, between, task

from loadtests.expecting import Expected, ask
from loadtests.site import Site

ROUTES = ("shop", "news", "mail")
WANTED = ("page", "picture", "form", "missing page")


def users(site: Site) -> list[type[Any]]:
    """Return the kinds of users."""
    del site

    class Reader(FastHttpUser):
        """Reads one site after the other."""

        wait_time = between(0.0, 0.05)

        def on_start(self) -> None:
            """Pick a site."""
            self.site = random.choice(ROUTES)

        @task(10)
        def page(self) -> None:
            """Read a page."""
            path = f"/articles/{random.randrange(1000)}"
            ask(self.client, "page", "GET", self.site, path, Expected(body=path.encode()))

        @task(4)
        def picture(self) -> None:
            """Fetch a picture of the page."""
            size = random.choice((1_000, 20_000, 100_000))
            picture = Expected(body=b"x" * size)
            ask(self.client, "picture", "GET", self.site, f"/bytes/{size}", picture)

        @task(2)
        def form(self) -> None:
            """Send a form; the backend tells how much arrived."""
            data = b"field=value&" * random.randrange(1, 2000)
            whole = Expected(body=str(len(data)).encode())
            ask(self.client, "form", "POST", self.site, "/form", whole, data=data)

        @task(1)
        def missing_page(self) -> None:
            """Follow a broken link, or mistype the name of a site."""
            ask(self.client, "missing page", "GET", self.site, "/bytes/none", Expected(404))
            ask(self.client, "missing page", "GET", "nobody", "/", Expected(404))

        @task(1)
        def elsewhere(self) -> None:
            """Go to another site."""
            self.on_start()

    return [Reader]
