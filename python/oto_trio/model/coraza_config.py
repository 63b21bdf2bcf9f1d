"""The configuration of a web application firewall that reads Coraza's (and ModSecurity's) directives."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = ["CORAZA_CONFIGS", "CorazaConfig", "coraza_config_template"]

CORAZA_CONFIGS: Final = "coraza-configs"
"""Kind under which the store keeps them."""


class CorazaConfig(Document, frozen=True, kw_only=True):
    """A configuration (``coraza-waf.extensions.otoroshi.io/CorazaConfig``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the configuration")]
    name: Annotated[str, Meta(description="name of the configuration")] = ""
    description: Annotated[str, Meta(description="what it is for")] = ""
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    inspect_in_body: Annotated[bool, Meta(description="look into bodies of requests")] = True
    inspect_out_body: Annotated[bool, Meta(description="look into bodies of responses")] = True
    is_blocking_mode: Annotated[bool, Meta(description="refuse what is found, not only tell")] = (
        True
    )
    include_owasp_crs: Annotated[bool, Meta(description="add the OWASP core rule set")] = True
    directives: Annotated[tuple[str, ...], Meta(description="directives, one a text")] = ()
    pool_capacity: Annotated[Whole, Meta(description="engines that run at once")] = 2


def coraza_config_template(*, env: str = "prod") -> CorazaConfig:
    """Make the configuration that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return CorazaConfig(
        id=named_id("coraza-waf-config", env=env), name="New WAF", description="New WAF"
    )
