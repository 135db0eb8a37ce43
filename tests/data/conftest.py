"""A small data directory: three speakers, two sentences each, a second of sound in every file."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_data import TEXTS, write_sound

from asr.data import DataDir, DirUtterance


@pytest.fixture
def small(tmp_path: Path) -> DataDir:
    """In memory; the sounds are on disk, 1.0 to 1.5 s long."""
    rows = [
        DirUtterance(
            name,
            name,
            name.split("-")[0],
            text,
            source=write_sound(tmp_path / "sound" / f"{name}.wav", 1.0 + 0.1 * i, i),
        )
        for i, (name, text) in enumerate(TEXTS.items())
    ]
    return DataDir(tuple(rows))


@pytest.fixture
def folder(small: DataDir, tmp_path: Path) -> Path:
    """The same on disk."""
    small.write(tmp_path / "train")
    return tmp_path / "train"
