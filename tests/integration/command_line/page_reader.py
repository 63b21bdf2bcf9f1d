"""Somebody who follows a page of the documentation: runs its commands, and reads what it says they print."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.integration.command_line.program import invoked

if TYPE_CHECKING:
    from oto_trio.testing.gateway_process import GatewayProcess

__all__ = ["ADDRESS", "Reader"]

DOCS: Final = Path(__file__).parents[3] / "docs"
ADDRESS: Final = "http://127.0.0.1:8081"
"""The admin API, as the pages write it."""

_SUBSTITUTED: Final = re.compile(r"\$\(([^)]*)\)")
_FENCE: Final = re.compile(r"```(?:text|console)\n(.*?)```", re.DOTALL)


class Reader:
    """Somebody who follows a page in a folder of their own.

    Args:
        page: Name of the page.
        repository: The folder.
        gateway: The gateway that runs.
    """

    def __init__(self, page: str, repository: Path, gateway: GatewayProcess) -> None:
        self._repository = repository
        client_id, secret = gateway.auth
        self._words = {ADDRESS: gateway.admin, "ID": client_id, "SECRET": secret}
        text = (DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = [str(block).splitlines() for block in _FENCE.findall(text)]
        self.blocks: dict[str, list[str]] = {
            " ".join(block[0].removeprefix("$ ").split()): block for block in blocks
        }
        """The blocks by their first line, with one blank between words."""

    def block(self, start: str) -> list[str]:
        """Find the one block whose first line is this, or starts so."""
        if start in self.blocks:
            return self.blocks[start]
        (found,) = [block for first, block in self.blocks.items() if first.startswith(start)]
        return found

    def run(self, command: str, *, code: int = 0) -> str:
        """Run a command line of the page with this gateway's address and key; return what it prints."""
        for word, value in self._words.items():
            command = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", value, command)
        command = _SUBSTITUTED.sub(lambda found: self._shell(found[1]).strip(), command)
        words = shlex.split(command.removeprefix("$ "))
        if words[0] == "git":
            return self._shell(shlex.join(words))
        assert words[0] == "oto-trio"
        result = invoked(*words[1:])
        assert result.exit_code == code, f"{command}\n{result.output}"
        return result.output

    def _shell(self, command: str) -> str:
        """Run a command that is not ours."""
        done = subprocess.run(
            shlex.split(command), cwd=self._repository, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def play(self, start: str, *, code: int = 0) -> None:
        """Run the command of a block, and compare what it prints with the rest of the block."""
        command, *told = self.block(start)
        assert self.run(command, code=code).splitlines() == told, command

    def git(self, line: str) -> None:
        """Run git, as somebody who has a name."""
        who = "-c user.name=reader -c user.email=reader@example.com"
        self.run(f"git {who} {line}")
