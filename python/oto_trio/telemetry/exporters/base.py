"""What an exporter is.

To add one: a module in this folder with one subclass of `Exporter`; the registry finds it by its `type`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from oto_trio.model.document import Document
from oto_trio.model.errors import GatewayError

if TYPE_CHECKING:
    import builtins
    from collections.abc import Sequence

__all__ = ["Config", "ExportError", "Exporter", "ExporterConfig"]


class ExportError(GatewayError):
    """Events could not be sent."""

    code = "export_failed"
    retry = "always"


class ExporterConfig(Document, frozen=True, kw_only=True):
    """Settings of a type of exporter: the `config` of the entity, in Otoroshi's keys."""

    def faults(self) -> list[tuple[str, str, str]]:
        """Return what cannot work as (key, what is wrong, the fix); the default knows nothing."""
        return []


Config = TypeVar("Config", bound=ExporterConfig)


class Exporter(ABC, Generic[Config]):
    """Sends events somewhere. One task at a time uses it, unless `is_concurrent`.

    Args:
        config: Its settings.
    """

    type: ClassVar[str]
    """The entity's `type`."""
    config_class: ClassVar[builtins.type[ExporterConfig]] = ExporterConfig
    """The struct of its settings."""
    is_concurrent: ClassVar[bool] = False
    """Whether several batches may be sent at once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.left_out = 0
        """Events of batches that were sent which no sending can bring there, such as too large ones."""

    @abstractmethod
    async def send(self, events: Sequence[bytes]) -> None:
        """Send a batch, whole or not at all as far as that can be.

        Args:
            events: Each event as JSON, without a line break.

        Raises:
            ExportError: It could not be sent; the same batch may come again.

        Cancellation: the batch may be sent in part.
        """

    async def aclose(self) -> None:
        """Let go of files and connections. Must not raise; may be called again."""
