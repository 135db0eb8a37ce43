"""The whole of masked prediction: frames, targets, a network and its training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor, nn

from asr.errors import DataError, UsageError
from asr.pretraining.frames import FramePool, gather_frames
from asr.pretraining.kmeans import KmeansConfig, Quantizer, train_quantizer
from asr.pretraining.masked import MaskedPrediction
from asr.pretraining.masking import MaskConfig
from asr.progress import Progress, silent
from asr.training.batch import Example
from asr.training.config import TrainConfig
from asr.training.evaluation import DevSet, Evaluation
from asr.training.source import MemoryBatches
from asr.training.trainer import Summary, train
from asr.work_folder import claim

TRAIN = TrainConfig(epochs=10, learning_rate=2e-3, final_learning_rate=2e-4, max_frames=4000)
"""Defaults of the training: a few hours of speech need small batches to make steps enough."""
TARGETS_FILE = "targets.safetensors"


@dataclass(frozen=True, slots=True)
class MaskedConfig:
    """Options.

    Attributes:
        clusters: of the targets.
        mask: of what is hidden.
        train: of the training.
        max_frames: of all utterances that are used; they are held in memory.
        held_out: part of the utterances that is not learnt from, but measured on.
        longest: frames; longer utterances are cut into pieces.
    """

    clusters: KmeansConfig = field(default_factory=KmeansConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    train: TrainConfig = field(default_factory=lambda: TRAIN)
    max_frames: int = 4_000_000
    held_out: float = 0.03
    longest: int = 1500

    def __post_init__(self) -> None:
        if self.max_frames < 1 or self.longest < 1 or not 0 <= self.held_out < 1:
            raise UsageError(
                "masked prediction needs max_frames and longest of at least 1 and 0 <= held_out < 1"
            )


def pretrain_masked(
    ids: Sequence[str],
    feats: Callable[[str], Tensor],
    build: Callable[[int, int], nn.Module],
    folder: Path,
    config: MaskedConfig | None = None,
    progress: Progress = silent,
    ivectors: Callable[[str], Tensor] | None = None,
    device: str = "cpu",
) -> tuple[nn.Module, Summary]:
    """Train a network to guess what it cannot see. Called again, it goes on where it was stopped.

    Args:
        ids: names of utterances.
        feats: from a name to float32 [T, D]. It may raise AudioError or DataError for an utterance
            that cannot be used, which is then left out.
        build: makes the network from the width of the features and the number of its outputs; it
            may have ``normalise_input(mean, deviation)``.
        folder: for the targets' centres, checkpoints and logs.
        config: options.
        progress: told how far it is.
        ivectors: from a name to float32 [I], for a network that takes them.
        device: "cpu" or "cuda".

    Returns:
        the network, and how the training went; ``metrics`` has ``dev/loss`` and ``dev/accuracy``
        where utterances were held out.

    Raises:
        DataError: nothing to learn from, or a folder of other work.
        UsageError, ModelError, AsrError: as :func:`asr.training.trainer.train`.
    """
    config = config or MaskedConfig()
    described = {**asdict(config), "train": config.train.to_json()}
    claim(folder, described, ids)
    progress(0.0, "reading speech")
    pool = gather_frames(ids, feats, 0, config.max_frames, config.train.seed)
    quantizer = _targets(pool, config.clusters, folder, _part(progress, 0.0, 0.1))
    held_out, learnt = _examples(pool, quantizer, config, ivectors)
    network = build(pool.feats.shape[1], len(quantizer))
    normalise: Callable[[Tensor, Tensor], None] | None = getattr(network, "normalise_input", None)
    if normalise is not None:
        normalise(pool.mean, pool.deviation)
    objective = MaskedPrediction(pool.mean, pool.deviation, len(quantizer), config.mask)
    size, seed = config.train.max_frames, config.train.seed
    batches = MemoryBatches(learnt, size, seed)
    dev: dict[str, Evaluation] = {}
    if held_out:
        dev["dev"] = DevSet(MemoryBatches(held_out, size, shuffle=False), objective)
    told = _part(progress, 0.1, 1.0)
    summary = train(network, objective, batches, dev, config.train, folder, told, device, described)
    return network, summary


def _targets(pool: FramePool, config: KmeansConfig, folder: Path, progress: Progress) -> Quantizer:
    """The quantizer, made once."""
    path = folder / TARGETS_FILE
    if not path.exists():
        train_quantizer(pool, config, progress).save(path)
    return Quantizer.load(path)


def _examples(
    pool: FramePool,
    quantizer: Quantizer,
    config: MaskedConfig,
    ivectors: Callable[[str], Tensor] | None,
) -> tuple[list[Example], list[Example]]:
    """What is held out, and what is learnt from: pieces of utterances with their clusters.

    Raises:
        DataError: too few utterances.
    """
    count = math.ceil(config.held_out * len(pool.ids))
    if count >= len(pool.ids):
        raise DataError("there are too few utterances to hold one out: give more speech")
    held_out: list[Example] = []
    learnt: list[Example] = []
    for number, (name, feats) in enumerate(pool.utterances()):
        ivector = None if ivectors is None else ivectors(name)
        pieces = zip(
            feats.split(config.longest), quantizer(feats).split(config.longest), strict=True
        )
        (held_out if number < count else learnt).extend(
            Example(f"{name}#{place}", piece, ivector, target)
            for place, (piece, target) in enumerate(pieces)
        )
    return held_out, learnt


def _part(progress: Progress, begin: float, end: float) -> Progress:
    """Reports from ``begin`` to ``end`` of the whole."""

    def told(fraction: float, message: str) -> None:
        progress(begin + fraction * (end - begin), message)

    return told
