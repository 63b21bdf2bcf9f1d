"""The script: source code of a plugin in Scala or Java, which Otoroshi compiles and runs.

oto-trio keeps scripts, so that an export passes through unharmed, and runs none of them. Plugins of
its own are Python classes.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = ["SCRIPTS", "Script", "script_template"]

SCRIPTS: Final = "scripts"
"""Kind under which the store keeps them."""

_NOTHING: Final = """\
import otoroshi.script.RequestTransformer

class Unchanged extends RequestTransformer

new Unchanged()
"""
"""The code of the template: a transformer that changes nothing."""


class Script(Document, frozen=True, kw_only=True):
    """A script (``plugins.otoroshi.io/Script``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the script")]
    name: Annotated[str, Meta(description="name of the script")]
    desc: Annotated[str, Meta(description="what it is for")]
    code: Annotated[str, Meta(description="source code, Scala or Java")]
    type: Annotated[
        Literal[
            "app",
            "transformer",
            "validator",
            "preroute",
            "sink",
            "job",
            "exporter",
            "request-handler",
            "composite",
            "listener",
            "tunnel-handler",
        ],
        Meta(description="what kind of plugin it is"),
    ]
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()


def script_template(*, env: str = "prod") -> Script:
    """Make the script that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return Script(
        id=named_id("script", env=env),
        name="New request transformer",
        desc="New request transformer",
        code=_NOTHING,
        type="transformer",
    )
