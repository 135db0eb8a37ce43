"""Kaldi data directories: what was said by whom in which sound, as typed rows.

Files (https://kaldi-asr.org/doc/data_prep.html): `wav.scp` (recording → sound), `segments`
(utterance → recording, start, end in seconds), `text`, `utt2spk`, `spk2utt`, and further tables by
utterance (`feats.scp`, `utt2dur`, ...), speaker (`cmvn.scp`, `spk2gender`, ...) or recording
(`reco2dur`, ...), which are kept as they are.

    from asr.data import DataDir
    data = DataDir.read("data/train")
    for utterance in data.utterances:
        samples = utterance.samples(16_000)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from asr.atomic import replaced_folder
from asr.audio import SAMPLE_RATE
from asr.data.sounds import Source, read_samples
from asr.data.table_files import (
    CMVN,
    FEATS,
    SEGMENTS,
    SPK2UTT,
    TEXT,
    UTT2DUR,
    UTT2SPEED,
    UTT2SPK,
    WAV,
    seconds,
    table_kind,
)
from asr.data.tables import checked_id, sort_key, write_table
from asr.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from asr.data.archives import ScpReader


@dataclass(frozen=True, slots=True)
class DirUtterance:
    """One utterance of a data directory."""

    id: str
    recording: str
    """Id of the sound in wav.scp; without segments the utterance's own."""
    speaker: str
    text: str | None
    """None where the directory has no texts."""
    start: float = 0.0
    """Seconds in the recording."""
    end: float | None = None
    """Seconds in the recording; None is its end."""
    source: Source | None = None
    """The sound; None in a directory of features alone."""
    speed: float = 1.0
    """Factor by which the sound is played faster."""

    def samples(self, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
        """The sound, float32 [N] at `sample_rate` Hz.

        Raises:
            AudioError: it cannot be read, or ends before the segment.
            DataError: the directory has no sound.
        """
        if self.source is None:
            raise DataError(f"{self.id} has features but no sound: add {WAV}")
        samples = read_samples(self.source, self.start, self.end, sample_rate)
        if self.speed == 1.0:
            return samples
        from asr.data.augment import change_speed

        return change_speed(samples, self.speed)


@dataclass(frozen=True)
class DataDir:
    """A data directory in memory, sorted by the bytes of the ids."""

    utterances: tuple[DirUtterance, ...]
    extras: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Further tables by file name; places of archives are absolute."""
    path: Path | None = None
    """Where it was read."""

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.utterances, key=lambda utterance: sort_key(utterance.id)))
        object.__setattr__(self, "utterances", ordered)
        for before, after in pairwise(ordered):
            if before.id == after.id:
                raise DataError(f"two utterances are called {after.id}: rename one")

    @classmethod
    def read(cls, path: str | Path, *, allow_pipes: bool = False) -> DataDir:
        """Read a directory that must be without defects in what is read of it.

        Args:
            path: the directory.
            allow_pipes: shell commands in wav.scp are taken; they run when samples are asked for.

        Raises:
            DataError: it is missing or malformed; the message names the file, the line and how to
                mend it.
        """
        from asr.data.directory_reading import read_directory

        return read_directory(Path(path), allow_pipes)

    def write(self, path: str | Path, *, replace: bool = False, relative: bool = False) -> None:
        """Write the directory, whole or not at all.

        Args:
            path: a folder that does not exist yet or is empty.
            replace: a data directory that is there is replaced, with all that is in it.
            relative: write paths of sounds relative to the directory, which may then be moved
                together with its sound; Kaldi's own tools would not find them.

        Raises:
            DataError: something else is there, or an id or text that a table cannot hold.
        """
        folder = Path(path)
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            if not replace:
                raise DataError(
                    f"{folder} is there already: choose another name, or replace it (--force)"
                )
            if not (folder / UTT2SPK).is_file():
                raise DataError(
                    f"{folder} is no data directory and is not replaced: choose another name"
                )
        try:
            with replaced_folder(folder) as temporary:
                self.write_tables(temporary, folder if relative else None)
        except OSError as error:
            raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error

    def write_tables(self, folder: Path, relative_to: Path | None = None) -> None:
        """Write each table into a folder that is there, over tables of the same name.

        Args:
            folder: the folder.
            relative_to: write paths of sounds relative to this folder.

        Raises:
            DataError: an id or text that a table cannot hold.
        """
        for name, rows in self._tables(relative_to).items():
            write_table(folder / name, rows)

    @cached_property
    def speakers(self) -> dict[str, tuple[str, ...]]:
        """Ids of the utterances of each speaker, both sorted."""
        found: dict[str, list[str]] = {}
        for utterance in self.utterances:
            found.setdefault(utterance.speaker, []).append(utterance.id)
        return {name: tuple(found[name]) for name in sorted(found, key=sort_key)}

    @cached_property
    def recordings(self) -> dict[str, Source]:
        """The sound of each recording."""
        return {u.recording: u.source for u in self.utterances if u.source is not None}

    @property
    def segmented(self) -> bool:
        """Whether utterances are stretches of recordings, not whole ones."""
        return any(u.recording != u.id or u.start or u.end is not None for u in self.utterances)

    @property
    def has_text(self) -> bool:
        """Whether every utterance has a text."""
        return all(utterance.text is not None for utterance in self.utterances)

    @cached_property
    def durations(self) -> dict[str, float]:
        """Seconds of each utterance: from utt2dur, segments, or the sound's header.

        Raises:
            AudioError: a header cannot be read or does not say.
        """
        known = self.extras.get(UTT2DUR, {})
        return {u.id: float(known[u.id]) if u.id in known else duration(u) for u in self.utterances}

    def features(self) -> ScpReader:
        """The features of the utterances by id, read when asked for.

        Raises:
            DataError: the directory has none.
        """
        return self._archive(FEATS, "compute them (asr data features)")

    def cmvn(self) -> ScpReader:
        """The speakers' CMVN statistics by speaker, float64 [2, D + 1] as Kaldi has them.

        Raises:
            DataError: the directory has none.
        """
        return self._archive(CMVN, "compute them (asr data features)")

    def select(self, ids: Iterable[str]) -> DataDir:
        """Only the utterances `ids`, with what further tables hold of them.

        Statistics of speakers who lose utterances (cmvn.scp) are dropped: they would be wrong.

        Raises:
            DataError: an id that is not here.
        """
        wanted = set(ids)
        unknown = wanted - {utterance.id for utterance in self.utterances}
        if unknown:
            raise DataError(
                f"{len(unknown)} utterances are not in {self.path or 'the directory'}"
                f" (first: {min(unknown, key=sort_key)}): check the list"
            )
        kept = tuple(u for u in self.utterances if u.id in wanted)
        extras = filtered_extras(self.extras, kept)
        if CMVN in extras and len(kept) < len(self.utterances):
            lost = {u.speaker for u in self.utterances if u.id not in wanted}
            extras[CMVN] = {k: v for k, v in extras[CMVN].items() if k not in lost}
        return DataDir(kept, {name: rows for name, rows in extras.items() if rows}, self.path)

    def with_extra(self, name: str, rows: Mapping[str, str]) -> DataDir:
        """The directory with one further table, or another in its place."""
        return replace(self, extras={**self.extras, name: dict(rows)})

    def _archive(self, name: str, hint: str) -> ScpReader:
        from asr.data.archives import ScpReader

        if name not in self.extras:
            raise DataError(f"{self.path or 'the data directory'} has no {name}: {hint}")
        return ScpReader(self.extras[name])

    def _tables(self, folder: Path | None) -> dict[str, Mapping[str, str]]:
        """Every file's rows; with `folder`, paths of sounds relative to it."""
        tables: dict[str, Mapping[str, str]] = {
            UTT2SPK: {u.id: checked_id(u.speaker) for u in self.utterances},
            SPK2UTT: {speaker: " ".join(ids) for speaker, ids in self.speakers.items()},
        }
        if self.recordings:
            tables[WAV] = {name: _written(s, folder) for name, s in self.recordings.items()}
        if self.segmented:
            tables[SEGMENTS] = {
                u.id: f"{checked_id(u.recording)} {seconds(u.start)}"
                f" {'-1' if u.end is None else seconds(u.end)}"
                for u in self.utterances
            }
        if self.utterances and self.has_text:
            tables[TEXT] = {u.id: u.text or "" for u in self.utterances}
        if any(u.speed != 1.0 for u in self.utterances):
            tables[UTT2SPEED] = {u.id: f"{u.speed:g}" for u in self.utterances}
        return {**{name: rows for name, rows in self.extras.items() if name != UTT2SPEED}, **tables}


def duration(utterance: DirUtterance) -> float:
    """Seconds of an utterance by its segment, or by the header of its sound.

    Raises:
        AudioError: the header cannot be read or does not say.
        DataError: the directory has no sound.
    """
    if utterance.end is not None:
        return (utterance.end - utterance.start) / utterance.speed
    if isinstance(utterance.source, Path):
        from asr.audio import audio_info

        found = audio_info(utterance.source).duration
        if found is not None:
            return (found - utterance.start) / utterance.speed
    return len(utterance.samples(SAMPLE_RATE)) / SAMPLE_RATE


def filtered_extras(
    extras: Mapping[str, Mapping[str, str]], utterances: Iterable[DirUtterance]
) -> dict[str, dict[str, str]]:
    """What tables hold of the utterances given, their speakers and recordings."""
    kept: dict[str, set[str]] = {"utterance": set(), "speaker": set(), "recording": set()}
    for utterance in utterances:
        kept["utterance"].add(utterance.id)
        kept["speaker"].add(utterance.speaker)
        kept["recording"].add(utterance.recording)
    return {
        name: {key: value for key, value in rows.items() if key in kept[table_kind(name) or ""]}
        for name, rows in extras.items()
    }


def _written(source: Source, folder: Path | None) -> str:
    if folder is None or not isinstance(source, Path):
        return str(source)
    return os.path.relpath(source, os.path.abspath(folder))
