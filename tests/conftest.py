"""What several rooms' tests share."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asr import Model

ROOT = Path(__file__).parent.parent
WHOLE_RECIPE = "whole_recipe"


@pytest.fixture(scope="session")
def korean_model() -> Path:
    """The imported Kaldi model in the user's cache, built there if this is its first use."""
    from asr.models import resolve

    return resolve("ko-kaldi")


@pytest.fixture(scope="session")
def model(korean_model: Path) -> Model:
    """The same, loaded once: it is immutable."""
    from asr import load

    return load(korean_model)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the whole recipe come last: it runs on a core of its own beside the others."""
    items.sort(key=lambda item: item.get_closest_marker(WHOLE_RECIPE) is not None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin the recipe where a test of it will run."""
    wanted = any(item.get_closest_marker(WHOLE_RECIPE) for item in session.items)
    if wanted and not session.config.option.collectonly:
        session.config.stash[_RUN] = _WholeRecipe()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing goes on after the tests."""
    if run := config.stash.get(_RUN, None):
        run.close()


@pytest.fixture
def whole_recipe(request: pytest.FixtureRequest) -> Iterator[tuple[int, str]]:
    """How ``recipes/mini_ko/run.sh --check`` ended, and what it said."""
    yield request.config.stash[_RUN].ended()


class _WholeRecipe:
    """recipes/mini_ko from its first stage to its last, while other tests run."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mini_ko")
        self._log = Path(self._folder.name, "log")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {
            **os.environ, "PATH": path, "VIRTUAL_ENV": sys.prefix, "OMP_NUM_THREADS": "1"
        }  # fmt: skip
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                ["bash", "recipes/mini_ko/run.sh", "--check", "--nj", "1", "--work",
                 str(Path(self._folder.name, "work"))],
                cwd=ROOT, stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip

    def ended(self) -> tuple[int, str]:
        code = self._process.wait()
        return code, self._log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, 15)
            self._process.wait()
        self._folder.cleanup()


_RUN = pytest.StashKey[_WholeRecipe]()
