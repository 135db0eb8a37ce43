"""Features and CMVN statistics of a data directory in Kaldi's archives (Kaldi's make_mfcc.sh).

The directory written has what the old one has, and `feats.scp`, `cmvn.scp`, `utt2num_frames`,
`conf/TYPE.conf` (the options, as Kaldi reads them) and the archives in `archives/`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from asr.atomic import replaced_file, replaced_folder
from asr.data.archives import ArkWriter
from asr.data.directory import DataDir
from asr.data.table_files import CMVN, FEATS, NUM_FRAMES, UTT2DUR, seconds
from asr.data.tables import sort_key, write_table
from asr.errors import AudioError, DataError, UsageError
from asr.features import Fbank, FbankConfig, FeatureConfig, Mfcc, cmvn_stats
from asr.features.config import to_options
from asr.progress import Progress, silent

ARCHIVES = "archives"
CONF = "conf"


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """How features are kept."""

    compress: bool = False
    """A byte a value (Kaldi's --compress=true), not a float."""
    min_kept: float = 0.95
    """Stop with an error where fewer of the utterances than this give features."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_kept <= 1.0:
            raise UsageError(f"min_kept is a share, 0 to 1, not {self.min_kept}")


@dataclass(slots=True)
class FeatureReport:
    """What became of the utterances."""

    data: DataDir
    """The directory that was written."""
    frames: int = 0
    dim: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Utterance to the reason why it has no features and was left out."""


def kind_of(config: FeatureConfig) -> str:
    """`mfcc` or `fbank`."""
    return "fbank" if isinstance(config, FbankConfig) else "mfcc"


def extractor_of(config: FeatureConfig) -> Fbank | Mfcc:
    """What computes features of this config."""
    return Fbank(config) if isinstance(config, FbankConfig) else Mfcc(config)


def write_features(
    data: DataDir,
    out: str | Path,
    config: FeatureConfig,
    storage: StorageConfig | None = None,
    progress: Progress = silent,
) -> FeatureReport:
    """Compute features of every utterance and write them with the directory to `out`.

    An utterance whose sound cannot be read, or is shorter than a frame, is left out and told of.

    Args:
        data: a directory with sound.
        out: where to write; the directory that `data` was read from gets the features added.
        config: the features' options; sound is resampled to its sample frequency.
        storage: how to keep them.

    Raises:
        DataError: `out` is something else that is there, or too few utterances give features.
    """
    storage = storage or StorageConfig()
    out = Path(os.path.abspath(out))
    in_place = data.path is not None and os.path.realpath(data.path) == os.path.realpath(out)
    if not in_place and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(
            f"{out} is there already: choose another name, or the directory itself to"
            " add features to it"
        )
    report = FeatureReport(data)
    try:
        with nullcontext(out) if in_place else replaced_folder(out) as folder:
            tables = _write_archives(folder, data, config, storage, progress, report)
            _write_tables(tables, folder, out, in_place, report)
    except OSError as error:
        raise DataError(
            f"{out} cannot be written ({error.strerror or error}): make room, or choose"
            " another place"
        ) from error
    return report


def _write_tables(
    tables: dict[str, dict[str, str]],
    folder: Path,
    final: Path,
    in_place: bool,
    report: FeatureReport,
) -> None:
    for name in (FEATS, CMVN):  # as they will lie when the folder has its name
        tables[name] = _moved(tables[name], folder, final)
    for name, rows in tables.items():
        report.data = report.data.with_extra(name, rows)
    if in_place:  # what is said of utterances without features stays for `asr data fix`
        for name, rows in tables.items():
            write_table(folder / name, rows)
    else:
        report.data.write_tables(folder)


def _write_archives(
    folder: Path,
    data: DataDir,
    config: FeatureConfig,
    storage: StorageConfig,
    progress: Progress,
    report: FeatureReport,
) -> dict[str, dict[str, str]]:
    """Write archives and options below `folder`; the tables that belong to them."""
    stats: dict[str, np.ndarray] = {}
    frames: dict[str, int] = {}
    speakers = {utterance.id: utterance.speaker for utterance in data.utterances}
    with ArkWriter(folder / ARCHIVES / "feats.ark", compress=storage.compress) as features:
        for name, matrix in _computed(data, config, progress, report):
            features.write(name, matrix)
            frames[name] = len(matrix)
            one = cmvn_stats(torch.from_numpy(matrix)[None])[0].numpy()
            speaker = speakers[name]
            stats[speaker] = stats[speaker] + one if speaker in stats else one
        _check_kept(len(frames), len(data.utterances), storage, report)
    with ArkWriter(folder / ARCHIVES / "cmvn.ark") as cmvn:
        for speaker in sorted(stats, key=sort_key):
            cmvn.write(speaker, stats[speaker])
    _write_conf(folder / CONF / f"{kind_of(config)}.conf", config)
    report.data = data.select(frames)
    report.frames, report.dim = sum(frames.values()), config.dim
    return {
        FEATS: features.places,
        CMVN: cmvn.places,
        NUM_FRAMES: {name: str(count) for name, count in frames.items()},
        UTT2DUR: {name: seconds(report.data.durations[name]) for name in frames},
    }


def _computed(
    data: DataDir, config: FeatureConfig, progress: Progress, report: FeatureReport
) -> Iterator[tuple[str, np.ndarray]]:
    extractor = extractor_of(config)
    rate = config.frame.sample_frequency
    if rate != int(rate):
        raise UsageError(f"--sample-frequency must be a whole number of Hz here, not {rate:g}.")
    for number, utterance in enumerate(data.utterances):
        progress(number / len(data.utterances), "computing features")
        try:
            samples = torch.from_numpy(np.ascontiguousarray(utterance.samples(int(rate))))
            matrix = extractor(samples[None])[0][0].numpy()
        except AudioError as error:
            report.failed[utterance.id] = str(error)
            continue
        if len(matrix) == 0:
            report.failed[utterance.id] = f"its {len(samples)} samples are shorter than a frame"
            continue
        yield utterance.id, matrix


def _check_kept(kept: int, total: int, storage: StorageConfig, report: FeatureReport) -> None:
    if kept == 0 or kept < storage.min_kept * total:
        name, reason = next(iter(report.failed.items()), ("none", "there is no utterance"))
        raise DataError(
            f"only {kept} of {total} utterances give features (first without: {name},"
            f" {reason}): mend the directory (`asr data validate`), or allow it"
            " (--min-kept)"
        )


def _moved(places: dict[str, str], folder: Path, final: Path) -> dict[str, str]:
    before, after = f"{os.path.abspath(folder)}/", f"{final}/"
    return {key: place.replace(before, after, 1) for key, place in places.items()}


def _write_conf(path: Path, config: FeatureConfig) -> None:
    with replaced_file(path) as file:
        for name, value in to_options(config).items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            file.write(f"--{name}={text}\n")
