"""Find the data that comes with Malsori: language models and sample recordings."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from asr.errors import DataError

DEFAULT_LM = "lm/ko-syllable.lm"
"""The language model, within the shipped data."""
PACKAGE = "malsori_data"
"""The folder `data/` of the source tree as it is named when installed."""


def shipped(path: str) -> Path:
    """The file or folder `path` of the shipped data, for instance `lm` or `samples`.

    Raises DataError when the installation lacks it.
    """
    try:
        root = Path(str(importlib.resources.files(PACKAGE)))
    except ModuleNotFoundError:  # run from a source tree that is not installed
        root = Path(__file__).parent.parent / "data"
    found = root / path
    if not found.exists():
        raise DataError(f"the shipped data {path} is missing from {root}: install malsori again")
    return found
