"""Let through what predicates on the context of the call accept.

Phases: access.
Otoroshi: ``cp:otoroshi.next.plugins.ContextValidation``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Plugin, Refusal, Template, compiled_template
from oto_trio.plugin_api.call_context import call_context
from oto_trio.plugin_api.json_values import (
    JsonPathError,
    JsonPathValidator,
    compile_path,
    value_meets,
)

__all__ = ["ContextValidation", "ContextValidationConfig"]


class ContextValidationConfig(Config, frozen=True):
    """What must hold."""

    validators: Annotated[
        tuple[JsonPathValidator, ...],
        Meta(description="Each must hold: the value at a JSONPath of the context is as expected."),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse a path or pattern that is none when the config is read."""
        for place, validator in enumerate(self.validators):
            fault = validator.fault()
            if fault is not None:
                raise ValueError(f"validators[{place}].{fault}")


class ContextValidation(Plugin[ContextValidationConfig]):
    """Refuses with 403 unless every validator holds.

    The context has ``request`` (also as ``req``), ``user``, ``apikey``, ``token``, ``route``, ``config``
    and ``global_config``. Otoroshi never gets to ``Contains(Regex(…))``; here it does what it says.
    """

    id = "cp:otoroshi.next.plugins.ContextValidation"
    name = "Context validator"
    description = "Lets through requests whose context is as JSONPath validators say."
    categories = ("AccessControl",)

    def __init__(self, config: ContextValidationConfig) -> None:
        super().__init__(config)
        self._templates: list[tuple[Template, Template | None]] = []
        for place, validator in enumerate(config.validators):
            where = f"$.validators[{place}]"
            value = validator.value
            self._templates.append(
                (
                    compiled_template(f"{where}.path", validator.path),
                    compiled_template(f"{where}.value", value) if isinstance(value, str) else None,
                )
            )

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        context = call_context(exchange, self.config)
        for validator, (path, text) in zip(self.config.validators, self._templates, strict=True):
            expected = validator.value if text is None else _rendered(text, exchange)
            try:
                compiled = compile_path(_rendered(path, exchange))
            except JsonPathError:
                return Refusal(403, "forbidden")
            if not value_meets(compiled, context, expected):
                return Refusal(403, "forbidden")
        return None


def _rendered(template: Template, exchange: Exchange) -> str:
    """Return a text with its values."""
    return template.source if template.is_literal else template.render(exchange)
