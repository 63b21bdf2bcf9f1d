"""docs/gitops.md, played: its commands in their order, as a new user would, and what it says they print."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trio
from click.testing import CliRunner

from oto_trio.cli import program
from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import admin

if TYPE_CHECKING:
    from oto_trio.testing.gateway_process import GatewayProcess

pytestmark = pytest.mark.slow

PAGE: Final = Path(__file__).parents[2] / "docs" / "gitops.md"
_SUBSTITUTED: Final = re.compile(r"\$\(([^)]*)\)")
FENCE: Final = re.compile(r"```(?:text|console)\n(.*?)```", re.DOTALL)
ADDRESS: Final = "http://127.0.0.1:8081"

ROUTES: Final = """\
routes:
  - {id: users, frontend: api.localhost/users, backend: "http://127.0.0.1:9000",
     plugins: [cp:otoroshi.next.plugins.ApikeyCalls]}
  - {id: orders, frontend: api.localhost/orders, backend: "http://127.0.0.1:9000",
     plugins: [cp:otoroshi.next.plugins.ApikeyCalls]}
"""


class Reader:
    """Somebody who follows the page in a repository of their own.

    Args:
        repository: Its folder.
        gateway: The gateway that runs.
    """

    def __init__(self, repository: Path, gateway: GatewayProcess) -> None:
        self._repository = repository
        client_id, secret = gateway.auth
        self._words = {ADDRESS: gateway.admin, "ID": client_id, "SECRET": secret}
        text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = [str(block).splitlines() for block in FENCE.findall(text)]
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
        result = CliRunner().invoke(program, words[1:], prog_name="oto-trio")
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


async def test_the_page_says_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.chdir(repository)
    async with gateway_process("--workers", "0", data=tmp_path / "data") as gateway:
        reader = Reader(repository, gateway)
        (tmp_path / "routes.yaml").write_text(ROUTES)
        first = (
            f"oto-trio apply {tmp_path}/routes.yaml {ADDRESS} --client-id ID --client-secret SECRET"
        )
        await trio.to_thread.run_sync(lambda: reader.run(f"{first} --yes"))
        await trio.to_thread.run_sync(_follow, reader, repository)
        # The gateway's own folder is back where it began.
        async with admin(gateway) as api:
            users = (await api.get("/api/routes/users")).json()
            assert users["backend"]["targets"][0]["port"] == 9000


def _follow(reader: Reader, repository: Path) -> None:
    """Play the page from the first files to the way back."""
    reader.run("git init -q")
    reader.play(f"oto-trio dump {ADDRESS}")
    files = sorted(str(p.relative_to(repository)) for p in repository.glob("conf/*/*"))
    assert files == reader.block("conf/global-configs/global.yaml")
    reader.git("add conf")
    reader.git("commit -qm first")

    for line in reader.block("oto-trio check --strict conf"):
        reader.run(line)
    users = repository / "conf" / "routes" / "users.yaml"
    users.write_text(users.read_text().replace("9000", "9001"))
    reader.play(f"oto-trio diff {ADDRESS} conf", code=1)
    reader.git("commit -qam 'another port'")

    reader.play(f"oto-trio apply conf {ADDRESS} --client-id ID --client-secret SECRET --dry-run")
    reader.run(
        reader.block(f"oto-trio apply conf {ADDRESS} --client-id ID --client-secret SECRET --yes")[
            0
        ]
    )
    nothing = (
        f"oto-trio apply conf {ADDRESS} --client-id ID --client-secret SECRET --dry-run --detailed"
    )
    reader.run(reader.block(nothing)[0])
    reader.run(reader.block(f"oto-trio diff {ADDRESS} conf")[0])

    history, rollback = reader.block(f"oto-trio history {ADDRESS}")
    listed = reader.run(history)
    assert "another port" in listed, "the commit is the reason"
    revisions = re.findall(r"^ *(\d+)  \d{4}-", listed, re.MULTILINE)
    reader.run(rollback.replace("rollback 12", f"rollback {revisions[1]}"))
    reader.run(reader.block(nothing)[0], code=2)
    reader.git("revert --no-edit HEAD")
    reader.run(reader.block(nothing)[0])
    worktree, diff = reader.block("git worktree add before HEAD~1")
    reader.run(worktree)
    assert "9001" in reader.run(diff, code=1)
