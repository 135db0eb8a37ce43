"""Training of an i-vector extractor from speech, without a transcript or the speakers' names.

The stages are Kaldi's (steps/online/nnet2/get_pca_transform.sh, train_diag_ubm.sh,
train_ivector_extractor.sh): global mean, projection of spliced frames, diagonal background model,
total variability. Each stage, and each iteration of the last two, is kept in a work folder, so that
training that was stopped goes on from there and gives the very same model. Memory does not grow
with the corpus.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.errors import AudioError, DataError, UsageError
from asr.features.cmvn import cmvn_stats
from asr.features.deltas import splice
from asr.features.ivector import IvectorConfig, IvectorExtractor, IvectorParams
from asr.features.ivector_em import (
    Moments,
    TotalVariability,
    TotalVariabilityConfig,
    em_step,
    initial_model,
)
from asr.features.ivector_statistics import StatisticsFolder, read_arrays, write_arrays
from asr.features.ivector_transform import SecondMoments
from asr.features.ivector_ubm import DiagonalGmm, UbmConfig, train_ubm
from asr.features.online_cmvn import OnlineCmvn, OnlineCmvnConfig
from asr.progress import Progress, silent
from asr.work_folder import claim

log = logging.getLogger(__name__)

# Where each stage ends on the way from 0 to 1; about what they take on two hours of speech.
_ENDS = {"mean": 0.15, "projection": 0.3, "frames": 0.45, "ubm": 0.65, "statistics": 0.85}


@dataclass(frozen=True, slots=True)
class IvectorTrainingConfig:
    """Options of the whole.

    Attributes:
        extraction: how statistics are gathered, in training as in recognition.
        ubm: of the background model.
        extractor: of the total variability matrix.
        feature_dim: D, dimensions that spliced frames are projected to.
        moment_frames: frames that the projection is estimated on, drawn evenly.
    """

    extraction: IvectorConfig = field(default_factory=IvectorConfig)
    ubm: UbmConfig = field(default_factory=UbmConfig)
    extractor: TotalVariabilityConfig = field(default_factory=TotalVariabilityConfig)
    feature_dim: int = 40
    moment_frames: int = 300_000

    def __post_init__(self) -> None:
        if self.feature_dim < 1 or self.moment_frames < 1:
            raise UsageError("feature_dim and moment_frames must be at least 1")


@dataclass(frozen=True, slots=True)
class Speech:
    """The utterances to learn from; they are read several times.

    Attributes:
        ids: names, all different.
        mfcc: from a name to float32 [T, C], not normalised. It may raise AudioError or DataError
            for an utterance that cannot be used, which is then left out.
        labels: from a name to a label for each frame, int64 [T] (−1: none), for LDA; None: PCA. It
            may raise DataError for an utterance that has none.
    """

    ids: tuple[str, ...]
    mfcc: Callable[[str], Tensor]
    labels: Callable[[str], Tensor] | None = None


def train_ivectors(
    speech: Speech,
    work: Path,
    config: IvectorTrainingConfig | None = None,
    progress: Progress = silent,
) -> IvectorParams:
    """Train an extractor.

    Args:
        speech: the utterances.
        work: folder for what is to be kept between stages; what a run with other options or other
            utterances left there is refused.
        config: options.
        progress: told how far it is; messages carry the likelihood of each iteration.

    Raises:
        DataError: nothing that can be used, too little of it, or another run's work folder.
    """
    if not speech.ids:
        raise DataError("there is no speech to train i-vectors on: give sound files")
    trainer = _Trainer(speech, work, config or IvectorTrainingConfig(), progress)
    return trainer.run()


class _Trainer:
    """One run. The files in the work folder are its state."""

    def __init__(
        self, speech: Speech, work: Path, config: IvectorTrainingConfig, progress: Progress
    ) -> None:
        self._speech = speech
        self._work = work
        self._config = config
        self._progress = progress
        self._failed: dict[str, str] = {}
        described = {"config": asdict(config), "lda": speech.labels is not None}
        claim(work, described, speech.ids)

    def run(self) -> IvectorParams:
        cmvn = self._kept("mean", self._mean)["stats"]
        lda = self._kept("projection", lambda: self._projection(cmvn))["rows"]
        ubm = self._background(cmvn, lda)
        folder = StatisticsFolder(self._work)
        if not folder.complete:
            blank = _params(ubm, _no_model(ubm), lda, cmvn)
            extractor = IvectorExtractor(blank, self._config.extraction)
            speech = self._all("statistics", "counting frames")
            folder.write(extractor, (mfcc for _, mfcc in speech))
        model = self._total_variability(folder)
        if self._failed:
            name, why = next(iter(self._failed.items()))
            log.warning(
                "%d of %d utterances were left out; the first is %s: %s",
                len(self._failed), len(self._speech.ids), name, why,
            )  # fmt: skip
        return _params(ubm, model, lda, cmvn)

    def _kept(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        path = self._work / f"{name}.safetensors"
        if not path.exists():
            write_arrays(path, make())
        return read_arrays(path)

    def _all(self, stage: str, message: str) -> Iterator[tuple[str, Tensor]]:
        """Names and MFCC of the utterances that can be used."""
        names = list(_ENDS)
        begin = 0.0 if stage == names[0] else _ENDS[names[names.index(stage) - 1]]
        used = 0
        for number, name in enumerate(self._speech.ids):
            fraction = number / len(self._speech.ids)
            self._progress(begin + fraction * (_ENDS[stage] - begin), message)
            if name in self._failed:
                continue
            try:
                mfcc = self._speech.mfcc(name)
            except (AudioError, DataError) as error:
                self._failed[name] = str(error)
                continue
            used += 1
            yield name, mfcc
        if not used:
            raise DataError(
                f"none of the {len(self._speech.ids)} utterances can be used; the first: "
                f"{next(iter(self._failed.values()))}"
            )

    def _mean(self) -> dict[str, Tensor]:
        """Global CMVN statistics."""
        speech = self._all("mean", "averaging frames")
        pieces = (cmvn_stats(mfcc[None])[0] for _, mfcc in speech)
        stats = next(pieces)
        for piece in pieces:
            stats = stats + piece
        return {"stats": stats}

    def _projection(self, cmvn: Tensor) -> dict[str, Tensor]:
        """PCA or LDA of normalised, spliced frames."""
        extraction = self._config.extraction
        context = extraction.splice_left + 1 + extraction.splice_right
        moments = SecondMoments((cmvn.shape[1] - 1) * context)
        step = _step(cmvn, self._config.moment_frames)
        normalise = _normaliser(cmvn, extraction)
        labelled = self._speech.labels is not None
        offset = 0
        for name, mfcc in self._all("projection", "finding directions"):
            labels = self._labels(name, len(mfcc))
            if labelled and labels is None:
                continue
            chosen = slice((-offset) % step, None, step)
            offset += len(mfcc)
            frames = _spliced(normalise(mfcc[None]), extraction)[chosen]
            moments.add(frames, None if labels is None else labels[chosen])
        dim = self._config.feature_dim
        return {"rows": moments.lda(dim) if labelled else moments.pca(dim)}

    def _labels(self, name: str, frames: int) -> Tensor | None:
        """An utterance's labels; None where there are none: it then counts for all but LDA.

        Raises:
            DataError: labels of another length than the features.
        """
        if self._speech.labels is None:
            return None
        try:
            labels = self._speech.labels(name)
        except DataError as error:
            log.info("%s has no labels: %s", name, error)
            return None
        if len(labels) != frames:
            raise DataError(
                f"{name} has {len(labels)} labels for {frames} frames: align these very features"
            )
        return labels

    def _background(self, cmvn: Tensor, lda: Tensor) -> DiagonalGmm:
        path = self._work / "ubm.safetensors"
        begun = None
        if path.exists():
            arrays = read_arrays(path)
            done = int(arrays.pop("iterations"))
            begun = DiagonalGmm(**arrays), done
            if done == self._config.ubm.iterations:
                return begun[0]
        frames = self._sample(cmvn, lda)
        total = self._config.ubm.iterations

        def after(gmm: DiagonalGmm, iteration: int, likelihood: float) -> None:
            write_arrays(path, {**gmm.tensors(), "iterations": torch.tensor(iteration)})
            begin, end = _ENDS["frames"], _ENDS["ubm"]
            message = f"background model {iteration}/{total}: {likelihood:.4f}"
            self._progress(begin + (end - begin) * iteration / total, message)

        return train_ubm(frames, self._config.ubm, begun, after)

    def _sample(self, cmvn: Tensor, lda: Tensor) -> Tensor:
        """Normalised, projected frames, drawn evenly: float32 [T, D]."""
        step = _step(cmvn, self._config.ubm.max_frames)
        normalise = _normaliser(cmvn, self._config.extraction)
        rows = lda.float().T
        pieces, offset = [], 0
        for _, mfcc in self._all("frames", "sampling frames"):
            frames = _spliced(normalise(mfcc[None]), self._config.extraction)
            pieces.append(frames[(-offset) % step :: step] @ rows)
            offset += len(mfcc)
        return torch.cat(pieces)

    def _total_variability(self, folder: StatisticsFolder) -> TotalVariability:
        path = self._work / "extractor.safetensors"
        config = self._config.extractor
        moments = folder.moments()
        if path.exists():
            arrays = read_arrays(path)
            model = TotalVariability(
                arrays["projection"], arrays["sigma_inv"], float(arrays["prior_offset"])
            )
            done = int(arrays["iterations"])
        else:
            _check_count(moments, config)
            model, done = initial_model(moments, config), 0
        for iteration in range(done, config.iterations):
            model, likelihood = em_step(model, moments, folder, config)
            write_arrays(path, _tensors(model, iteration + 1))
            begin = _ENDS["statistics"]
            message = f"total variability {iteration + 1}/{config.iterations}: {likelihood:.4f}"
            self._progress(begin + (1 - begin) * (iteration + 1) / config.iterations, message)
        return model


def _check_count(moments: Moments, config: TotalVariabilityConfig) -> None:
    if not bool((moments.counts >= config.min_count).any()):
        raise DataError(
            f"no Gaussian has {config.min_count:g} (scaled) frames: give more speech or ask for "
            "fewer Gaussians"
        )


def _tensors(model: TotalVariability, iterations: int) -> dict[str, Tensor]:
    return {
        "projection": model.projection,
        "sigma_inv": model.sigma_inv,
        "prior_offset": torch.tensor(model.prior_offset, dtype=torch.float64),
        "iterations": torch.tensor(iterations),
    }


def _step(cmvn: Tensor, frames: int) -> int:
    """Every how many frames of the corpus one is taken for there to be no more than ``frames``."""
    return max(1, -(-int(cmvn[0, -1]) // frames))


def _normaliser(cmvn: Tensor, config: IvectorConfig) -> OnlineCmvn:
    """The mean normalisation of :class:`IvectorExtractor`."""
    window, own = config.cmn_window, config.global_frames
    return OnlineCmvn(OnlineCmvnConfig(window, speaker_frames=window, global_frames=own), cmvn)


def _spliced(features: Tensor, config: IvectorConfig) -> Tensor:
    """[1, T, C] → [T, C × context]"""
    return splice(features, config.splice_left, config.splice_right)[0]


def _no_model(ubm: DiagonalGmm) -> TotalVariability:
    gaussians, dim = ubm.means.shape
    nothing = ubm.means.new_zeros(gaussians, dim, 1)
    return TotalVariability(nothing, torch.diag_embed(1.0 / ubm.variances), 1.0)


def _params(ubm: DiagonalGmm, model: TotalVariability, lda: Tensor, cmvn: Tensor) -> IvectorParams:
    def single(tensor: Tensor) -> np.ndarray:
        return tensor.float().cpu().numpy()

    return IvectorParams(
        gconsts=single(ubm.gconsts),
        means_invvars=single(ubm.means / ubm.variances),
        inv_vars=single(1.0 / ubm.variances),
        projection=single(model.projection),
        sigma_inv=single(model.sigma_inv),
        lda=single(lda),
        global_cmvn=cmvn.numpy(),
        prior_offset=np.array([model.prior_offset], np.float32),
    )
