"""What several rooms' tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asr import Model

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
    """The whole recipe, which takes minutes, comes first where other processes test meanwhile.

    Where one process does everything it comes last: what fails in a second is told first.
    """
    first = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(key=lambda item: (item.get_closest_marker(WHOLE_RECIPE) is None) == first)
