"""What the gateway needs of snapshots, and of the engine that they are installed in, as types."""

from collections.abc import Sequence
from typing import Protocol, Self

__all__ = ["SnapshotEngine", "SnapshotLike"]


class SnapshotLike(Protocol):
    """What the installer needs of `oto_trio._core.Snapshot`."""

    @property
    def generation(self) -> int:
        """Grows from each snapshot to those made from it."""
        ...

    def __len__(self) -> int:
        """Return how many routes it has."""
        ...

    def apply(
        self,
        upserts: list[bytes],
        removed: list[str],
        settings: bytes | None = None,
        entities: Sequence[tuple[str, str, bytes | None]] = (),
    ) -> Self:
        """Return a snapshot with some parts changed; raises ValueError and stays as it is."""
        ...


class SnapshotEngine(Protocol):
    """What the installer needs of `oto_trio._core.Engine`."""

    @property
    def oldest_generation(self) -> int:
        """The oldest snapshot that an exchange in flight still uses."""
        ...

    def install(self, snapshot: SnapshotLike, /) -> None:
        """Let every exchange that begins from now on use a snapshot."""
        ...
