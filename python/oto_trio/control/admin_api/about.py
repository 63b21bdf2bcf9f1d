"""What this installation is: ``/api/version`` and ``/api/infos``, which tools ask before anything else."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.rights import global_config_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from oto_trio.control.admin_api.operations import Entities

__all__ = ["OTOROSHI_VERSION", "THIS_NODE", "AboutPaths"]

OTOROSHI_VERSION: Final[dict[str, Any]] = {
    "raw": "18.0.0-dev",
    "major": 18,
    "minor": 0,
    "patch": 0,
    "build": None,
    "suffix": "dev",
    "suffix_version": None,
    "value": 1799.5,
}
"""The version of Otoroshi whose API this is, taken apart as Otoroshi does. Tools compare it with what they
need; it is no version of oto-trio."""

THIS_NODE: Final = "/apis/cluster/node"
"""Below it a node tells of itself, in a cluster or not. Source: Otoroshi's admin API."""


class AboutPaths:
    """Endpoints that tell what this is: the installation, and the node that is asked.

    Args:
        entities: Where the global configuration is.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def paths(self) -> list[Path]:
        """Give the paths; they must come before the generic ones, which have as many words."""
        return [
            Path(f"{base}/{name}", endpoint, methods=["GET"])
            for name, endpoint in (("version", self._version), ("infos", self._infos))
            for base in ("/api", THIS_NODE)
        ]

    async def _version(self, request: Request) -> Response:
        """Answer the version of Otoroshi that the API is like."""
        return answer(request, dict(OTOROSHI_VERSION), pretty_by_default=False)

    async def _infos(self, request: Request) -> Response:
        """Answer what this runs on.

        Where Otoroshi tells its Java there is the Python here. ``backoffice_url`` is left out: there is no
        console to open.
        """
        record = await global_config_of(self._entities.store)
        config: dict[str, Any] = {} if record is None else msgspec.json.decode(record.document)
        told = {
            "otoroshi_cluster_id": str(config.get("otoroshiId", "")),
            "otoroshi_version": OTOROSHI_VERSION["raw"],
            "otoroshi_version_sem": OTOROSHI_VERSION,
            "oto_trio_version": version("oto-trio"),
            "java_version": {
                "version": platform.python_version(),
                "vendor": platform.python_implementation(),
            },
            "os": {
                "name": platform.system(),
                "version": platform.release(),
                "arch": platform.machine(),
            },
            "datastore": self._entities.store.name,
            "env": self._entities.env,
        }
        return answer(request, told, pretty_by_default=False)
