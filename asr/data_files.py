"""Find the data that comes with Malsori: language models and sample recordings."""

from __future__ import annotations

import importlib.resources
import importlib.util
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


def package_folder(package: str, inner: str) -> Path | None:
    """The folder ``inner`` of an installed package; None where there is none.

    The package is found, not imported: one that holds a model has no code that should run.
    """
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / inner).is_dir():
            return Path(folder) / inner
    return None
