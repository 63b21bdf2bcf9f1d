"""The client certificate validator: a service that is asked whether a client's certificate is good.

In Otoroshi it has the older dialect of the admin API only, ``/api/client-validators``.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from oto_trio.model.client_settings import UpstreamProxy, Whole
from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = ["CLIENT_VALIDATORS", "ClientValidator", "client_validator_template"]

CLIENT_VALIDATORS = "client-validators"
"""Kind under which the store keeps them."""


class ClientValidator(Document, frozen=True, kw_only=True, rename="camel"):
    """A client certificate validator."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the validator")]
    name: Annotated[str, Meta(description="name of the validator")]
    description: Annotated[str, Meta(description="what it is for")] = "--"
    url: Annotated[str, Meta(description="base URL of the service")]
    host: Annotated[str, Meta(description="host name it is called by")]
    good_ttl: Annotated[Whole, Meta(description="how long a good answer holds, ms")] = 600_000
    bad_ttl: Annotated[Whole, Meta(description="how long a bad answer holds, ms")] = 60_000
    method: Annotated[str, Meta(description="method of the call")] = "POST"
    path: Annotated[str, Meta(description="path of the call")] = "/certificates/_validate"
    timeout: Annotated[Whole, Meta(description="longest wait for the answer, ms")] = 10_000
    no_cache: Annotated[bool, Meta(description="ask for every request")] = False
    always_valid: Annotated[bool, Meta(description="take every certificate, ask nobody")] = False
    headers: Annotated[dict[str, str], Meta(description="more headers of the call")] = (
        msgspec.field(default_factory=dict[str, str])
    )
    proxy: Annotated[UpstreamProxy | None, Meta(description="proxy of the call")] = None
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()


def client_validator_template(*, env: str = "prod") -> ClientValidator:
    """Make a validator that asks a service which does not exist, under a new id."""
    return ClientValidator(
        id=named_id("client-validator", env=env),
        name="validator",
        description="A client certificate validator",
        url="https://validator.oto.tools:8443",
        host="validator.oto.tools",
    )
