"""Parts and unions of data directories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asr.data.directory import DataDir, DirUtterance
from asr.data.splitting import Size
from asr.data.table_files import CMVN, UTT2UNIQ, table_kind
from asr.data.tables import cleaned
from asr.errors import DataError, UsageError
from asr.lm.text_files import read_lines

ORDERS = ("first", "random", "shortest")


@dataclass(frozen=True, slots=True)
class SubsetConfig:
    """Which utterances to keep; of those that `speakers` and `utterances` allow, as many as fit."""

    size: str | None = None
    """As `Size.parse` takes it; None: all that are allowed."""
    order: str = "random"
    """Which come first: `first` (by id), `random` or `shortest`."""
    seed: int = 0
    speakers: tuple[str, ...] | None = None
    utterances: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UsageError(f"there is no order {self.order!r}: use one of {', '.join(ORDERS)}")
        if self.size is not None:
            Size.parse(self.size)


def subset(data: DataDir, config: SubsetConfig) -> DataDir:
    """Keep some utterances. The same directory and config always give the same.

    Seconds are never exceeded; asked for speakers (`3spk`), whole speakers are kept.

    Raises:
        DataError: an utterance or speaker of the lists is not there, or nothing would be left.
    """
    rows = _allowed(data, config)
    if config.size is not None:
        rows = _fitting(data, rows, config)
    if not rows:
        raise DataError(f"no utterance of {data.path or 'the directory'} fits: ask for more")
    return data.select(utterance.id for utterance in rows)


def combine(parts: Sequence[DataDir]) -> DataDir:
    """The union of directories. Tables that only some have are dropped, statistics too.

    Raises:
        DataError: an utterance, or a recording with different sounds, comes twice; or only some
            directories have texts.
    """
    if not parts:
        raise UsageError("there is nothing to combine: give two directories or more")
    if len({part.has_text for part in parts}) > 1:
        bare = next(part for part in parts if not part.has_text)
        raise DataError(
            f"{bare.path or 'a directory'} has no text, others have: add it, or leave it out"
        )
    origin: dict[str, DataDir] = {}
    sounds: dict[str, object] = {}
    for part in parts:
        for utterance in part.utterances:
            if utterance.id in origin:
                raise DataError(
                    f"{origin[utterance.id].path} and {part.path} both have an"
                    f" utterance {utterance.id}: combine directories that share none"
                )
            origin[utterance.id] = part
            if sounds.setdefault(utterance.recording, utterance.source) != utterance.source:
                raise DataError(
                    f"recording {utterance.recording} is another sound in {part.path}: rename it"
                )
    shared = set.intersection(*(set(part.extras) for part in parts))
    extras = {name: _merged(name, parts) for name in sorted(shared) if name != CMVN}
    if CMVN in shared and _speakers_apart(parts):
        extras[CMVN] = _merged(CMVN, parts)
    return DataDir(tuple(u for part in parts for u in part.utterances), extras)


def perturb_speed(data: DataDir, factors: Sequence[float] = (0.9, 1.0, 1.1)) -> DataDir:
    """Each utterance at each speed, as Kaldi's perturb_data_dir_speed_3way.sh.

    Copies and their speakers are called `sp0.9-NAME`; `utt2uniq` tells which are of one utterance.
    Features and durations are dropped: they change.

    Raises:
        UsageError: a factor that is given twice or no factor.
    """
    if len(set(factors)) != len(factors) or not factors:
        raise UsageError("give each speed once, such as 0.9 1.0 1.1")
    for factor in factors:
        if not 0.5 <= factor <= 2.0:
            raise UsageError(f"a speed of {factor:g} is no longer the same speech: use 0.5 to 2")
    rows: list[DirUtterance] = []
    unique: dict[str, str] = {}
    for factor in factors:
        prefix = "" if factor == 1.0 else f"sp{factor:g}-"
        for utterance in data.utterances:
            name = prefix + utterance.id
            recording = utterance.recording if data.segmented else name
            rows.append(
                replace(
                    utterance,
                    id=name,
                    recording=recording,
                    speaker=prefix + utterance.speaker,
                    speed=utterance.speed * factor,
                )
            )
            unique[name] = data.extras.get(UTT2UNIQ, {}).get(utterance.id, utterance.id)
    extras: dict[str, dict[str, str]] = {UTT2UNIQ: unique}
    for name, table in data.extras.items():
        if table_kind(name) == "speaker" and name != CMVN:
            extras[name] = {
                ("" if f == 1.0 else f"sp{f:g}-") + key: value
                for f in factors
                for key, value in table.items()
            }
        elif table_kind(name) == "recording" and data.segmented:
            extras[name] = dict(table)
    return DataDir(tuple(rows), extras)


def read_list(path: str | Path) -> tuple[str, ...]:
    """The first word of each line of a file (a list of ids, or any table).

    Raises:
        DataError: it cannot be read, or lists nothing.
    """
    names = tuple(line.split()[0] for line in map(cleaned, read_lines(path)) if line)
    if not names:
        raise DataError(f"{path} lists nothing: write an id a line")
    return names


def _allowed(data: DataDir, config: SubsetConfig) -> list[DirUtterance]:
    _check_known("speakers", config.speakers, data.speakers)
    _check_known("utterances", config.utterances, {u.id for u in data.utterances})
    speakers = set(data.speakers if config.speakers is None else config.speakers)
    names = None if config.utterances is None else set(config.utterances)
    return [
        utterance
        for utterance in data.utterances
        if utterance.speaker in speakers and (names is None or utterance.id in names)
    ]


def _check_known(what: str, given: Iterable[str] | None, known: Iterable[str]) -> None:
    missing = set(given or ()) - set(known)
    if missing:
        raise DataError(
            f"{len(missing)} of the {what} asked for are not there (first:"
            f" {min(missing)}): correct the list"
        )


def _fitting(data: DataDir, rows: list[DirUtterance], config: SubsetConfig) -> list[DirUtterance]:
    """The first in the order wanted, until the size is reached."""
    size = Size.parse(config.size or "100%")
    measure, wanted = size.of(sum(data.durations[row.id] for row in rows))
    rng = np.random.default_rng(config.seed)
    if measure == "speakers":
        names = list(dict.fromkeys(row.speaker for row in rows))
        if config.order == "random":
            names = [names[i] for i in rng.permutation(len(names))]
        chosen = set(names[: int(wanted)])
        return [row for row in rows if row.speaker in chosen]
    if config.order == "random":
        rows = [rows[i] for i in rng.permutation(len(rows))]
    elif config.order == "shortest":
        rows = sorted(rows, key=lambda row: data.durations[row.id])
    if measure == "utterances":
        return rows[: int(wanted)]
    kept, total = [], 0.0
    for row in rows:
        if total + data.durations[row.id] <= wanted + 1e-6:
            kept.append(row)
            total += data.durations[row.id]
    return kept


def _merged(name: str, parts: Sequence[DataDir]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for part in parts:
        for key, value in part.extras[name].items():
            if merged.setdefault(key, value) != value:
                raise DataError(
                    f"{name} says {merged[key]} and {value} of {key}: make it the same,"
                    " or delete the file"
                )
    return merged


def _speakers_apart(parts: Sequence[DataDir]) -> bool:
    return sum(len(part.speakers) for part in parts) == len({s for p in parts for s in p.speakers})
