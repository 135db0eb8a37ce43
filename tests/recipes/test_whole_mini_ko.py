"""recipes/mini_ko as it is published: from nothing to its results."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_mini_ko import run

pytestmark = pytest.mark.whole_recipe


def test_the_whole_recipe_gives_its_results(tmp_path: Path) -> None:
    """From nothing to LF-MMI, and no figure of RESULTS.md has moved."""
    made = run("--check", "--nj", "1", "--work", str(tmp_path / "work"))
    assert made.returncode == 0, (made.stdout + made.stderr)[-3000:]
    assert "figures as they were" in made.stdout + made.stderr
