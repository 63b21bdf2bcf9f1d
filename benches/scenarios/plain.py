"""plain: what forwarding costs."""

from typing import ClassVar

from benches.scenarios.scenario import ClosedLoop


class Plain(ClosedLoop):
    """64 keep-alive connections, answers of 1 KB, one route."""

    name: ClassVar[str] = "plain"
    summary: ClassVar[str] = "64 keep-alive connections, 1 KB answers, one route"
