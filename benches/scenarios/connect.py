"""connect: what accepting and closing a connection costs."""

from typing import ClassVar

from benches.scenarios.scenario import ClosedLoop


class Connect(ClosedLoop):
    """64 clients that open a connection for each request; upstream connections are kept."""

    name: ClassVar[str] = "connect"
    summary: ClassVar[str] = "a new client connection for each request, 64 at a time, 1 KB answers"
    fields: ClassVar[tuple[str, ...]] = ("Connection: close",)
