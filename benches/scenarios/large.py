"""large: what moving octets costs."""

from typing import ClassVar

from benches.scenarios.scenario import ClosedLoop


class Large(ClosedLoop):
    """The plain traffic with answers of 64 KB."""

    name: ClassVar[str] = "large"
    summary: ClassVar[str] = "64 keep-alive connections, 64 KB answers"
    body_bytes: ClassVar[int] = 65536
