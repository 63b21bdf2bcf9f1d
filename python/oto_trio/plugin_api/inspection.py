"""What a plugin class is made of, and whether it is well made.

The registry refuses a class with any problem found here: a misspelt hook would otherwise be a check
that silently never runs.
"""

import difflib
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, Final, cast

import msgspec

from oto_trio.model.errors import Problem
from oto_trio.plugin_api.config import config_schema, default_config
from oto_trio.plugin_api.phases import OTOROSHI_STEPS, PHASE_ORDER, Phase
from oto_trio.plugin_api.plugin import Plugin
from oto_trio.plugin_api.websockets import WebSocketPlugin

__all__ = ["check_plugin", "describe", "is_inline", "is_native", "phases_of"]

_HOOKS = frozenset(phase.value for phase in PHASE_ORDER)
_MESSAGE_HOOKS: Final = {
    "open_socket": ("exchange",),
    "on_request_message": ("message", "opened"),
    "on_response_message": ("message", "opened"),
    "attend_socket": ("opened",),
    "refuse_socket": ("exchange",),
    "serve_socket": ("socket", "opened"),
}
"""The hooks of plugins that look at messages of WebSockets, and what they are given."""
_PUBLIC = _HOOKS | {"lower"}
_TEXTS = ("id", "name", "description")


def _classes_of(plugin: type[Plugin[Any]]) -> Iterator[type]:
    """Walk the classes that make a plugin, most derived first, without what ``Plugin`` brings."""
    return (cls for cls in plugin.__mro__ if cls not in Plugin.__mro__)


def phases_of(plugin: type[Plugin[Any]]) -> tuple[Phase, ...]:
    """Return the phases whose hook the class overrides, in order."""
    return tuple(
        phase for phase in PHASE_ORDER if any(phase.value in vars(c) for c in _classes_of(plugin))
    )


def is_inline(plugin: type[Plugin[Any]], phase: Phase) -> bool:
    """Tell whether a hook is ``def`` (runs in the pump) and not ``async def`` (runs in a task)."""
    return not inspect.iscoroutinefunction(getattr(plugin, phase.value))


def is_native(plugin: type[Plugin[Any]]) -> bool:
    """Tell whether the class can lower itself to native steps."""
    return any("lower" in vars(c) for c in _classes_of(plugin))


def describe(plugin: type[Plugin[Any]]) -> dict[str, Any]:
    """Return everything there is to know about a plugin, as plain JSON.

    Returns:
        ``id``, ``name``, ``description``, ``categories``, ``phases`` (ours), ``steps`` (Otoroshi's
        names), ``default_config`` and ``config_schema`` (null without config) and ``native``.
    """
    phases = phases_of(plugin)
    return {
        "id": plugin.id,
        "name": plugin.name,
        "description": plugin.description,
        "categories": list(plugin.categories),
        "phases": [phase.value for phase in phases],
        "steps": _steps_of(plugin, phases),
        "default_config": default_config(plugin.Config),
        "config_schema": config_schema(plugin.Config),
        "native": is_native(plugin),
    }


def _steps_of(plugin: type[Plugin[Any]], phases: tuple[Phase, ...]) -> list[str]:
    """Return the steps that Otoroshi lists the plugin under."""
    if issubclass(plugin, WebSocketPlugin):
        return list(plugin.otoroshi_steps)
    return [OTOROSHI_STEPS[phase] for phase in phases if phase in OTOROSHI_STEPS]


def check_plugin(plugin: type[Plugin[Any]]) -> list[Problem]:
    """Return everything that is wrong with a plugin class; empty when it may be used."""
    where = f"{plugin.__module__}.{plugin.__qualname__}"
    problems = [*_check_texts(plugin, where), *_check_config(plugin, where)]
    for cls in _classes_of(plugin):
        for name, member in vars(cls).items():
            if not name.startswith("_"):
                problems.extend(_check_member(name, member, where, _public_of(plugin)))
    if not problems and not phases_of(plugin):
        hooks = ", ".join(phase.value for phase in PHASE_ORDER)
        problems.append(Problem(where, "the plugin overrides no hook", f"write one of {hooks}"))
    return problems


def _public_of(plugin: type[Plugin[Any]]) -> frozenset[str]:
    """Return the names that a plugin's methods may have."""
    return _PUBLIC | _MESSAGE_HOOKS.keys() if issubclass(plugin, WebSocketPlugin) else _PUBLIC


def _check_texts(plugin: type[Plugin[Any]], where: str) -> Iterator[Problem]:
    """Check the id, the texts and the categories."""
    for name in _TEXTS:
        value: object = getattr(plugin, name, None)
        if not isinstance(value, str) or not value.strip():
            yield Problem(f"{where}.{name}", "a plugin needs this text", f'write {name} = "…"')
        elif name == "id" and value.split() != [value]:
            yield Problem(
                f"{where}.id", f"the id {value!r} holds white space", 'write it like "cp:my.Plugin"'
            )
    categories: object = getattr(plugin, "categories", None)
    if (
        not isinstance(categories, tuple)
        or not categories
        or not all(isinstance(c, str) and c for c in cast("tuple[object, ...]", categories))
    ):
        yield Problem(
            f"{where}.categories",
            "a plugin needs at least one category",
            'write categories = ("Other",)',
        )


def _check_config(plugin: type[Plugin[Any]], where: str) -> Iterator[Problem]:
    """Check that the config is a frozen struct whose types msgspec can read."""
    struct = cast("object", plugin.Config)
    if struct is None:
        return
    if not isinstance(struct, type) or not issubclass(struct, msgspec.Struct):
        yield Problem(
            f"{where}.Config",
            "the config is no msgspec struct",
            "write class MyConfig(Config, frozen=True) and class MyPlugin(Plugin[MyConfig])",
        )
    elif not struct.__struct_config__.frozen:
        yield Problem(
            f"{where}.Config",
            f"the config {struct.__name__} can be changed, but it is shared",
            f"write class {struct.__name__}(Config, frozen=True)",
        )
    else:
        try:
            config_schema(struct)
            default_config(struct)
        except (TypeError, NameError) as error:
            yield Problem(
                f"{where}.Config",
                f"msgspec cannot describe the config: {error}",
                "use JSON types and structs for its fields",
            )


def _check_member(
    name: str, member: object, where: str, public: frozenset[str]
) -> Iterator[Problem]:
    """Check one public member: a hook, ``lower``, or a plain value."""
    path = f"{where}.{name}"
    if not isinstance(member, FunctionType | staticmethod | classmethod | property):
        return
    if name not in public:
        near = difflib.get_close_matches(name, sorted(public), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}" if near else f"the hooks are {', '.join(PHASE_ORDER)}"
        yield Problem(
            path,
            f"{name} is no hook, so it would never run",
            f"{hint}; a method of your own begins with an underscore",
        )
        return
    if not isinstance(member, FunctionType):
        yield Problem(path, f"{name} must be a plain method", f"write def {name}(self, …)")
        return
    yield from _check_signature(name, member, path)


def _check_signature(name: str, function: Callable[..., object], path: str) -> Iterator[Problem]:
    """Check that a hook takes what it is given, ``(self, exchange)`` mostly, and ends with a value."""
    parameters = list(inspect.signature(function).parameters.values())
    given = () if name == "lower" else _MESSAGE_HOOKS.get(name, ("exchange",))
    wanted = ["self", *given]
    required = [p for p in parameters if p.default is p.empty and p.kind not in (2, 4)]
    if len(required) != len(wanted) or any(p.kind is p.KEYWORD_ONLY for p in required):
        yield Problem(
            path, f"{name} takes other arguments", f"write def {name}({', '.join(wanted)})"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        yield Problem(path, f"{name} yields", "return the answer instead")
    if name in (Phase.MATCH_ROUTE, "lower", "open_socket") and inspect.iscoroutinefunction(
        function
    ):
        yield Problem(path, f"{name} cannot wait", f"write def {name}, without async")
