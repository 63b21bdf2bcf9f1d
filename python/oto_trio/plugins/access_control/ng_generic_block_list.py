"""Refuse what an expression finds in a list.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.NgGenericBlockList``.
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

__all__ = ["NgGenericBlockList", "NgGenericBlockListConfig"]


class NgGenericBlockListConfig(Config, frozen=True):
    """What is looked at, and the values."""

    expression: Annotated[
        str | None, Meta(description="What is looked at; ${…} is evaluated. Null looks at nothing.")
    ] = "${req.ip_address}"
    values: Annotated[tuple[str, ...], Meta(description="The values refused.")] = ()


class NgGenericBlockList(Plugin[NgGenericBlockListConfig]):
    """Refuses with 403 when the value of the expression is listed.

    A null expression, written out, lets everything through.
    """

    id = "cp:otoroshi.next.plugins.NgGenericBlockList"
    name = "Generic block list"
    description = "Refuses requests for which the value of an expression is listed."
    categories = ("AccessControl",)

    def __init__(self, config: NgGenericBlockListConfig) -> None:
        super().__init__(config)
        text = config.expression
        self._template = None if text is None else compiled_template("$.expression", text)

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        if self._template is None:
            return None
        if self._template.render(exchange) not in self.config.values:
            return None
        return Refusal(403, "forbidden", "errors.blocked.expression")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("generic_block_list", Phase.ACCESS, self.config),)
