"""A request through a route, and what its answer must be."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Expected", "ask"]


@dataclass(frozen=True)
class Expected:
    """What an answer must be; None stands for anything.

    Attributes:
        status: Its status.
        body: Its body.
        version: The version of the route that answered.
    """

    status: int = 200
    body: bytes | None = None
    version: str | None = None

    def fault(self, answer: Any) -> str | None:
        """Say what is wrong with an answer; None when it is right."""
        version = answer.headers.get("X-Version") if answer.headers else None
        if answer.status_code != self.status:
            reason = answer.error or (answer.content or b"")[:200]
            return f"{self.status} was expected, but it is {answer.status_code}: {reason!r}"
        if self.body is not None and answer.content != self.body:
            return f"{len(self.body)} bytes were expected, but it is {answer.content[:200]!r}"
        if self.version is not None and version != self.version:
            return f"version {self.version} was expected, but it is {version}"
        return None


def ask(
    client: Any, name: str, method: str, route: str, path: str, expected: Expected, **sent: Any
) -> None:
    """Make a request through a route, and count it as failed unless its answer is as expected.

    Args:
        client: A Locust client.
        name: What the table calls it.
        method: The method.
        route: Name of the route, see `loadtests.site.route`.
        path: The path.
        expected: What its answer must be.
        sent: What else is sent: `data`, the body, and `headers`.
    """
    sent["headers"] = {"Host": f"{route}.loadtest.localhost", **sent.get("headers", {})}
    with client.request(method, path, name=name, catch_response=True, **sent) as answer:
        fault = expected.fault(answer)
        if fault is None:
            answer.success()
        else:
            answer.failure(fault)
