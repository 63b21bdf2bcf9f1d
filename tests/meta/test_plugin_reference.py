"""The generated page of plugins is current, and the check would notice if it were not."""

import subprocess
import sys
from pathlib import Path


def check(root: Path) -> subprocess.CompletedProcess[str]:
    script = root / "tools" / "plugin_reference.py"
    return subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )


def test_the_plugin_reference_is_current(root: Path) -> None:
    result = check(root)
    assert result.returncode == 0, result.stderr


def test_a_page_that_is_out_of_date_is_noticed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "docs").mkdir()
    script = (root / "tools" / "plugin_reference.py").read_text(encoding="utf-8")
    (tmp_path / "tools" / "plugin_reference.py").write_text(script, encoding="utf-8")
    page = (root / "docs" / "plugin_reference.md").read_text(encoding="utf-8")
    (tmp_path / "docs" / "plugin_reference.md").write_text(page + "x", encoding="utf-8")
    result = check(tmp_path)
    assert result.returncode == 1
    assert "out of date" in result.stderr
