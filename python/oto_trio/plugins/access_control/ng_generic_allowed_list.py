"""Let through what an expression finds in a list.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgGenericAllowedList``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    Phase,
    Plugin,
    Refusal,
    Step,
    compiled_template,
    steps,
)

__all__ = ["NgGenericAllowedList", "NgGenericAllowedListConfig"]


class NgGenericAllowedListConfig(Config, frozen=True):
    """What is looked at, and the values."""

    expression: Annotated[
        str | None, Meta(description="What is looked at; ${…} is evaluated. Null looks at nothing.")
    ] = "${req.ip_address}"
    values: Annotated[
        tuple[str, ...], Meta(description="The values let through; empty lets nothing through.")
    ] = ()


class NgGenericAllowedList(Plugin[NgGenericAllowedListConfig]):
    """Refuses with 403 unless the value of the expression is listed.

    A null expression, written out, lets everything through.
    """

    id = "cp:otoroshi.next.plugins.NgGenericAllowedList"
    name = "Generic allowed list"
    description = "Lets through requests for which the value of an expression is listed."
    categories = ("AccessControl",)

    def __init__(self, config: NgGenericAllowedListConfig) -> None:
        super().__init__(config)
        text = config.expression
        self._template = None if text is None else compiled_template("$.expression", text)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        if self._template is None:
            return None
        if self._template.render(exchange) in self.config.values:
            return None
        cause = "errors.unallowed.expression" if self.config.values else "errors.no.allowed.values"
        return Refusal(403, "forbidden", cause)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("generic_allowed_list", Phase.ACCESS, self.config),)
