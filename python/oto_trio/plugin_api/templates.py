"""Header values with expressions in configs: compiled once, when the plugin is made."""

from collections.abc import Mapping

from oto_trio._core import Template
from oto_trio.model.errors import Problem
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.fields import writable_fields

__all__ = ["compiled_template", "header_templates"]


def compiled_template(path: str, text: str) -> Template:
    """Compile a text of a config.

    Args:
        path: Where it stands in the config, such as ``$.to``.
        text: The text.

    Raises:
        PluginError: The text cannot be compiled; its problem has the path.
    """
    try:
        return Template(text)
    except ValueError as error:
        raise PluginError(Problem(path, str(error), f"correct {path}")) from error


def header_templates(fields: Mapping[str, str]) -> dict[str, Template]:
    """Compile the header values of a config; those that no plugin may write are left out.

    Raises:
        PluginError: A value cannot be compiled.
    """
    return {
        name: compiled_template(f"$.headers[{name!r}]", value)
        for name, value in writable_fields(fields).items()
    }
