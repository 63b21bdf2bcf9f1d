"""The error of this room: a plugin, a plugin file or a plugin's config cannot be used."""

from oto_trio.model.errors import GatewayError, Problem

__all__ = ["PluginError"]


class PluginError(GatewayError):
    """A plugin or its config cannot be used.

    Args:
        problems: Everything that is wrong. Paths are JSON paths (``$.code``) for a config, and
            ``file:line`` or a class's dotted name for code.
    """

    code = "invalid_plugin"
    source = "config"
    status = 400

    def __init__(self, *problems: Problem) -> None:
        assert problems, "a PluginError must name at least one problem"
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
