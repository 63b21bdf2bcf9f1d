"""The workflow: a tree of nodes that call functions, with what an editor keeps beside it.

The nodes are kept as they are; what they may hold is up to the functions they call.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document, JsonObject
from oto_trio.model.ids import named_id
from oto_trio.model.job_settings import JobSettings
from oto_trio.model.location import Location

__all__ = ["WORKFLOWS", "Orphans", "Workflow", "WorkflowJob", "workflow_template"]

WORKFLOWS: Final = "workflows"
"""Kind under which the store keeps them."""


class Orphans(Document, frozen=True, kw_only=True):
    """What an editor shows beside the tree: nodes that nothing leads to."""

    nodes: Annotated[tuple[Any, ...], Meta(description="nodes, kept verbatim")] = ()
    edges: Annotated[tuple[Any, ...], Meta(description="edges, kept verbatim")] = ()


class WorkflowJob(JobSettings, frozen=True, kw_only=True):
    """When the workflow runs by itself."""

    config: Annotated[dict[str, Any], Meta(description="what the run is given")] = msgspec.field(
        default_factory=dict[str, Any]
    )


class Workflow(Document, frozen=True, kw_only=True):
    """A workflow (``plugins.otoroshi.io/Workflow``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the workflow")]
    name: Annotated[str, Meta(description="name of the workflow")]
    description: Annotated[str, Meta(description="what it is for")]
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    config: Annotated[dict[str, Any], Meta(description="root node, kept verbatim")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    test_payload: Annotated[dict[str, Any], Meta(description="input of test runs")] = msgspec.field(
        default_factory=lambda: {"name": "foo"}
    )
    orphans: Annotated[Orphans, Meta(description="nodes that nothing leads to")] = Orphans()
    job: Annotated[WorkflowJob, Meta(description="when it runs by itself")] = WorkflowJob()
    functions: Annotated[dict[str, Any], Meta(description="nodes by name, to be called")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    notes: Annotated[tuple[Any, ...], Meta(description="notes of the editor, verbatim")] = ()


def _first_node() -> JsonObject:
    """Make the root node of a new workflow: one call, whose result is returned."""
    call: JsonObject = {
        "id": "hello",
        "kind": "call",
        "function": "core.hello",
        "args": {"name": "${workflow_input.name}"},
        "result": "call_res",
    }
    return {
        "id": "main",
        "kind": "workflow",
        "steps": [call],
        "returned": {"$mem_ref": {"name": "call_res"}},
    }


def workflow_template(*, env: str = "prod") -> Workflow:
    """Make the workflow that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return Workflow(
        id=named_id("workflow", env=env),
        name="New workflow",
        description="New workflow",
        config=_first_node(),
    )
