"""Change the query of the backend's request.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.QueryTransformer``.
"""

from typing import Annotated
from urllib.parse import quote, unquote_plus

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps

__all__ = ["QueryTransformer", "QueryTransformerConfig"]


class QueryTransformerConfig(Config, frozen=True):
    """What becomes of the parameters, in this order."""

    remove: Annotated[tuple[str, ...], Meta(description="Names of parameters to take away.")] = ()
    rename: Annotated[dict[str, str], Meta(description="New names by old name.")] = {}
    add: Annotated[
        dict[str, str], Meta(description="Values by name; they replace the client's.")
    ] = {}


class QueryTransformer(Plugin[QueryTransformerConfig]):
    """Removes, renames and adds query parameters; the others stay as they were sent, in order."""

    id = "cp:otoroshi.next.plugins.QueryTransformer"
    name = "Query param transformer"
    description = "Removes, renames and adds query parameters."
    categories = ("Transformations",)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        config, query = self.config, exchange.upstream_query
        pairs: list[str] = []
        for pair in query.split("&"):
            raw, equals, value = pair.partition("=")
            name = unquote_plus(raw)
            renamed = config.rename.get(name, name)
            if not pair or name in config.remove or renamed in config.add:
                continue
            is_renamed = name in config.rename
            pairs.append(quote(renamed, safe="") + equals + value if is_renamed else pair)
        pairs += [
            f"{quote(name, safe='')}={quote(value, safe='')}"
            for name, value in sorted(config.add.items())
        ]
        changed = "&".join(pairs)
        if changed != query:
            exchange.upstream_query = changed

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("query_transformer", Phase.TRANSFORM_REQUEST, self.config),)
