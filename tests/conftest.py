"""What several rooms' tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def korean_model() -> Path:
    """The default model's bundle in the user's cache, built there if this is its first use."""
    from asr.models import resolve

    return resolve("ko")
