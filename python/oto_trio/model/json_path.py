"""JSONPath, as Otoroshi's users write it, with expressions that cannot take for ever.

A path without ``$`` at its start gets one, ``=~ /x/`` compares the whole text, and `match` and `search` are those
of RFC 9535. All three run Java's expressions in linear time (`oto_trio._core.Pattern`); what cannot be run so is
refused when the path is compiled if it stands there, and matches nothing if it comes from the document.

Source: RFC 9535; Jayway's JsonPath, which Otoroshi uses, for what a path without wildcards gives.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from oto_trio._core import Pattern
from oto_trio.model.matching import MISSING

if TYPE_CHECKING:
    from jsonpath import JSONPath as _Compiled
    from jsonpath import JSONPathEnvironment

    from oto_trio.model.matching import Json

__all__ = ["JsonPath", "JsonPathError", "compile_path"]

MAX_BYTES: Final = 4096
"""A longer path is refused."""


class JsonPathError(ValueError):
    """A path cannot be used; the text says why."""


class JsonPath:
    """A compiled path.

    Args:
        compiled: What the library made of it.
    """

    def __init__(self, compiled: _Compiled) -> None:
        self._compiled = compiled
        self.is_definite: bool = compiled.singular_query()
        """Whether it can lead to one place only: it has no wildcard, slice, filter or descent."""

    def find(self, document: Json) -> list[Json]:
        """Return every value it leads to, in document order. Never raises."""
        from jsonpath.exceptions import JSONPathError  # noqa: PLC0415 (as below)

        try:
            return list(self._compiled.findall(document))  # type: ignore[arg-type]
        except (JSONPathError, RecursionError):  # deeper, or odder, than the library goes
            return []

    def value(self, document: Json) -> Json:
        """Return the one value of a definite path, or `MISSING`; the list of all of another one."""
        found = self.find(document)
        if not self.is_definite:
            return found
        return found[0] if found else MISSING


def compile_path(source: str) -> JsonPath:
    """Compile a path, each one once.

    Raises:
        JsonPathError: What is wrong with it.
    """
    compiled = _compile(source)
    if isinstance(compiled, str):
        raise JsonPathError(compiled)
    return compiled


@lru_cache(maxsize=512)
def _compile(source: str) -> JsonPath | str:
    from jsonpath.exceptions import JSONPathError  # noqa: PLC0415 (as below)

    if not source or len(source) > MAX_BYTES:
        return f"a path has 1 to {MAX_BYTES} characters"
    whole = source if source.startswith("$") else f"$.{source}"
    try:
        return JsonPath(_environment().compile(whole))  # type: ignore[arg-type]
    except (JSONPathError, ValueError, RecursionError) as error:
        why = str(error).strip().splitlines() or ["it is no JSONPath"]
        return f"not a JSONPath: {why[0]}"


@lru_cache(maxsize=1)
def _environment() -> JSONPathEnvironment:
    """Make the library's environment, with our own expressions in place of its own."""
    # Only configurations with paths need the library.
    from jsonpath import JSONPathEnvironment  # noqa: PLC0415 (few documents need it)
    from jsonpath.function_extensions import ExpressionType, FilterFunction  # noqa: PLC0415 (as above)

    class Expression(FilterFunction):
        """`match` or `search` of RFC 9535."""

        @property
        @override
        def arg_types(self) -> list[ExpressionType]:
            return [ExpressionType.VALUE, ExpressionType.VALUE]

        @property
        @override
        def return_type(self) -> ExpressionType:
            return ExpressionType.LOGICAL

        def __init__(self, *, anywhere: bool) -> None:
            self._form = "(?s:.*)(?:{})(?s:.*)" if anywhere else "{}"

        @override
        def __call__(self, value: object, source: object) -> bool:
            if not isinstance(value, str) or not isinstance(source, str):
                return False
            return _runs(self._form.format(source), value)

    class Environment(JSONPathEnvironment):
        """The library's environment without the expressions of Python's `re`."""

        @override
        def setup_function_extensions(self) -> None:
            super().setup_function_extensions()
            self.function_extensions["match"] = Expression(anywhere=False)
            self.function_extensions["search"] = Expression(anywhere=True)

        @override
        def compare(self, left: object, operator: str, right: object) -> bool:
            if operator == "=~":
                source: Any = getattr(right, "pattern", None)
                return isinstance(left, str) and isinstance(source, str) and _runs(source, left)
            return super().compare(left, operator, right)

    return Environment()


@lru_cache(maxsize=512)
def _pattern(source: str) -> Pattern | None:
    try:
        return Pattern(source)
    except (ValueError, UnicodeEncodeError):
        return None


def _runs(source: str, text: str) -> bool:
    """Tell whether the whole text matches; an expression that cannot be run matches nothing."""
    pattern = _pattern(source)
    try:
        return pattern is not None and pattern.matches(text)
    except UnicodeEncodeError:
        return False
