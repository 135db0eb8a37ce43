"""Every defect of a data directory, found by a registry of check functions.

Each check takes what was read of the directory and yields defects; `CHECKS` holds them in the order
in which they are reported. To add one, decorate a function with `@check("name")` in a module that
`validate` imports (`asr.data.checks`, `asr.data.sound_checks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from asr.data.sounds import Source, parse_source
from asr.data.table_files import (
    CORE,
    SEGMENTS,
    TEXT,
    UTT2SPK,
    WAV,
    Segment,
    extra_names,
    parse_segment,
)
from asr.data.tables import Defect, Line, Table, read_table
from asr.errors import DataError


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """What a directory must have; the names are those of Kaldi's validate_data_dir.sh."""

    text: bool = True
    """text is needed."""
    features: bool = True
    """feats.scp is needed, and looked into."""
    allow_pipes: bool = False
    """Commands in wav.scp are taken (and not run)."""
    sounds: bool = True
    """Open each sound to read its header."""
    decode: bool = False
    """Read each sound to its end: finds damage behind the header."""


@dataclass(frozen=True)
class Loaded:
    """A directory as it is on disk, read leniently."""

    folder: Path
    config: ValidationConfig
    tables: Mapping[str, Table]

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return name in self.tables

    def rows(self, name: str) -> dict[str, Line]:
        """The first line of each key of a file; none if it is missing."""
        return self.tables[name].first() if name in self.tables else {}

    @cached_property
    def segments(self) -> dict[str, Segment]:
        """The segments that can be understood."""
        found = {}
        for key, line in self.rows(SEGMENTS).items():
            try:
                found[key] = parse_segment(line.value)
            except DataError:
                continue
        return found

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The sounds of wav.scp that may be read."""
        found = {}
        for key, line in self.rows(WAV).items():
            try:
                found[key] = parse_source(
                    line.value, self.folder, allow_pipes=self.config.allow_pipes
                )
            except DataError:
                continue
        return found

    @cached_property
    def utterances(self) -> dict[str, Line]:
        """The utterances of utt2spk."""
        return self.rows(UTT2SPK)


Check = Callable[[Loaded], Iterator[Defect]]
CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    """Register a check; `name` becomes the kind of its defects."""

    def register(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return register


def load(folder: str | Path, config: ValidationConfig | None = None) -> Loaded:
    """Read the tables of a directory leniently.

    Raises:
        DataError: there is no such directory, or a file cannot be read at all.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist or is no folder: give a Kaldi data directory")
    names = [name for name in CORE if (folder / name).is_file()] + extra_names(folder)
    tables = {
        name: read_table(
            folder / name, value_needed=name != TEXT, composed_values=not name.endswith(".scp")
        )
        for name in names
    }
    return Loaded(folder, config or ValidationConfig(), tables)


def validate(folder: str | Path, config: ValidationConfig | None = None) -> list[Defect]:
    """All defects, in the order of the checks; an empty list is a sound directory.

    Raises:
        DataError: there is no such directory, or a file cannot be read at all.
    """
    from asr.data import checks, sound_checks  # noqa: F401 - they register themselves

    loaded = load(folder, config)
    return [
        replace(defect, kind=name)
        for name, function in CHECKS.items()
        for defect in function(loaded)
    ]
