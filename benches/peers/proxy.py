"""What the benches know about a proxy: its command line for a job, and how to get it.

All are asked for the same: one worker (one thread where it can be chosen), HTTP/1.1 on both
sides but where the job says otherwise, keep-alive on both sides without a limit of requests, enough idle upstream connections,
no access log, no compression, the client's Host passed on, no header added that can be left out.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from benches.credentials import server_pair
from benches.job import Job


@dataclass(frozen=True, slots=True)
class CommandLine:
    """How to start a proxy, and where it is managed.

    Attributes:
        argv: Argument vector.
        environment: Additional variables.
        admin_port: Port of its admin API on 127.0.0.1; None for a proxy without one that we use.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    admin_port: int | None = None


def server_file(folder: Path) -> Path:
    """Write the bench's certificate with its key into a file of a proxy's folder, and return it."""
    pair = server_pair()
    path = folder / "server.pem"
    path.write_text(pair.certificate + pair.key)
    return path


class Proxy(ABC):
    """A proxy that can be measured."""

    name: ClassVar[str]
    """Name on the command line and in results."""

    install: ClassVar[str]
    """How to get it, for the message that says it is missing."""

    limits_rates: ClassVar[bool] = True
    """Whether its configuration here refuses what is too much."""

    def executable(self) -> str | None:
        """Return the path of the program, None when it is not installed."""
        return shutil.which(self.name)

    def lacks(self, job: Job) -> str | None:
        """Return what the proxy as installed cannot do of `job`, None when it can take part."""
        del job
        return None

    @abstractmethod
    def configure(self, job: Job, port: int, folder: Path) -> CommandLine:
        """Write the configuration for `job` into `folder` and return the command that serves it.

        The command stays in the foreground and listens on 127.0.0.1:`port`.
        """

    def memory_parts(self, leader: int, resident: Mapping[int, int]) -> dict[str, int]:
        """Split resident bytes by process id into parts with names; nothing to split by default."""
        del leader, resident
        return {}
