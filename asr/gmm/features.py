"""Features of Gaussian models: cepstra less their speaker's mean, and their context in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from asr.errors import AsrError, ModelError, UsageError
from asr.features.cmvn import apply_cmvn, cmvn_stats
from asr.features.config import MfccConfig, Value, from_options, to_options
from asr.features.deltas import add_deltas, splice
from asr.features.mfcc import Mfcc
from asr.progress import Progress, silent


class Spoken(Protocol):
    """An utterance, as :class:`asr.data.directory.DirUtterance`; samples of a rate in Hz."""

    @property
    def id(self) -> str: ...
    @property
    def speaker(self) -> str: ...
    @property
    def text(self) -> str | None: ...
    @property
    def samples(self) -> Callable[[int], NDArray[np.float32]]: ...


@dataclass(frozen=True, slots=True)
class FrontEndConfig:
    """What is computed of a sound.

    Attributes:
        mfcc: options of the cepstra.
        norm_vars: scale them to unit variance over their speaker, too.
        deltas: derivatives up to this order, where frames are not spliced.
        splice: neighbours on either side that a frame is joined with; for linear transforms.
    """

    mfcc: MfccConfig = field(default_factory=lambda: MfccConfig(use_energy=False))
    norm_vars: bool = False
    deltas: int = 2
    splice: int = 0

    def __post_init__(self) -> None:
        if self.splice < 0 or self.deltas < 0:
            raise UsageError("deltas and splice must not be negative")

    @property
    def dim(self) -> int:
        """Before any transform."""
        if self.splice:
            return self.mfcc.dim * (2 * self.splice + 1)
        return self.mfcc.dim * (self.deltas + 1)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.mfcc.frame.sample_frequency)

    @property
    def frame_seconds(self) -> float:
        """From one frame to the next."""
        return self.mfcc.frame.frame_shift / 1000.0

    def to_json(self) -> dict[str, Any]:
        """For a model's manifest."""
        return {"mfcc": to_options(self.mfcc), "norm_vars": self.norm_vars, "deltas": self.deltas,
                "splice": self.splice}  # fmt: skip

    @classmethod
    def from_json(cls, section: Mapping[str, Any]) -> FrontEndConfig:
        """Inverse of :meth:`to_json`; ModelError for something else."""
        try:
            options: Mapping[str, Value] = section["mfcc"]
            return cls(
                from_options(MfccConfig, options), bool(section["norm_vars"]),
                int(section["deltas"]), int(section["splice"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise ModelError(f"the model's features cannot be understood ({error!r})") from error


@dataclass(frozen=True, slots=True, eq=False)
class Cepstra:
    """Normalised cepstra of many utterances, in memory (2.6 kB a second of sound).

    Attributes:
        frames: id → float32 [T, C].
        speaker: id → who speaks.
        refused: id → why there are none.
    """

    frames: dict[str, NDArray[np.float32]]
    speaker: dict[str, str]
    refused: dict[str, str]

    @property
    def speakers(self) -> dict[str, list[str]]:
        """Speaker → ids of utterances."""
        found: dict[str, list[str]] = {}
        for name in self.frames:
            found.setdefault(self.speaker[name], []).append(name)
        return found

    def seconds(self, config: FrontEndConfig) -> float:
        """Of all sounds."""
        return sum(map(len, self.frames.values())) * config.frame_seconds


def cepstra(
    utterances: Iterable[Spoken], config: FrontEndConfig, progress: Progress = silent
) -> Cepstra:
    """Compute cepstra, and subtract each speaker's mean.

    Sounds that cannot be read, and those of no frame, are counted and left out.
    """
    extract = Mfcc(config.mfcc)
    frames: dict[str, torch.Tensor] = {}
    stats: dict[str, torch.Tensor] = {}
    speaker, refused = {}, {}
    rows: Sequence[Spoken] = list(utterances)
    for number, utterance in enumerate(rows):
        progress(number / len(rows), "computing features")
        try:
            samples = torch.from_numpy(np.asarray(utterance.samples(config.sample_rate)))
        except AsrError as error:
            refused[utterance.id] = str(error)
            continue
        found, counts = extract(samples[None], torch.tensor([len(samples)]))
        if int(counts[0]) == 0:
            refused[utterance.id] = "the sound is shorter than a frame: leave it out"
            continue
        frames[utterance.id] = found
        speaker[utterance.id] = utterance.speaker
        own = cmvn_stats(found)[0]
        stats[utterance.speaker] = stats.get(utterance.speaker, torch.zeros_like(own)) + own
    normal = {
        name: apply_cmvn(found, stats[speaker[name]], norm_vars=config.norm_vars)[0].numpy()
        for name, found in frames.items()
    }
    return Cepstra(normal, speaker, refused)


def in_context(frames: NDArray[np.float32], config: FrontEndConfig) -> NDArray[np.float32]:
    """Cepstra [T, C] with their derivatives or neighbours: float32 [T, D]."""
    batch = torch.from_numpy(np.array(frames, np.float32))[None]
    if config.splice:
        out = splice(batch, config.splice, config.splice)
    else:
        out = add_deltas(batch, config.deltas)
    return np.asarray(out[0].numpy(), np.float32)


def affine(features: NDArray[np.float32], matrix: NDArray[np.floating]) -> NDArray[np.float32]:
    """features [T, D] through a matrix [E, D], or [E, D + 1] whose last column is added."""
    dim = features.shape[1]
    linear = matrix[:, :dim].astype(np.float32)
    out = features @ linear.T
    if matrix.shape[1] == dim + 1:
        out += matrix[:, dim].astype(np.float32)
    return out
