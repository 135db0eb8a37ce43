"""fMLLR: an affine transform of features for each speaker.

Gales 1998, "Maximum likelihood linear transformations for HMM-based speech recognition"; Kaldi
transform/fmllr-diag-gmm.cc.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError, UsageError
from asr.gmm.alignment import Alignment
from asr.gmm.corpus import Corpus, Transforms
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.features import Cepstra, affine
from asr.gmm.linear_statistics import precision_terms, weighted_moments
from asr.gmm.model import GmmModel
from asr.gmm.text_graphs import TextGraphs
from asr.gmm.viterbi import AlignConfig, Aligner
from asr.hmm.topology import SILENCE_ID


@dataclass(frozen=True, slots=True)
class FmllrConfig:
    """Options of Kaldi's FmllrOptions.

    Attributes:
        min_frames: speakers of less speech are left as they are.
        iterations: over all rows of the transform.
    """

    min_frames: float = 500.0
    iterations: int = 40

    def __post_init__(self) -> None:
        if self.min_frames < 1 or self.iterations < 1:
            raise UsageError("fMLLR takes at least one frame and one iteration")


class FmllrStatistics:
    """G_d = Σ γ / σ²_d ξ ξᵀ and k_d = Σ γ μ_d / σ²_d ξ of a speaker, ξ = (x, 1).

    Args:
        dim: of the features.
    """

    def __init__(self, dim: int) -> None:
        self.frames = 0.0
        self.second = np.zeros((dim, dim + 1, dim + 1))
        self.first = np.zeros((dim, dim + 1))

    def add(
        self,
        features: NDArray[np.float32],
        precision: NDArray[np.float32],
        pull: NDArray[np.float32],
    ) -> None:
        """Add frames without a transform, float32 [T, D], and what
        :func:`asr.gmm.linear_statistics.precision_terms` has of them."""
        extended = np.concatenate([features, np.ones((len(features), 1), np.float32)], axis=1)
        self.frames += len(features)
        self.second += weighted_moments(precision, extended)
        self.first += pull.T @ extended

    def objective(self, transform: NDArray[np.float64]) -> float:
        """Log-likelihood of transformed frames, but for a constant."""
        quadratic = np.einsum("ij,ijk,ik->", transform, self.second, transform)
        determinant = np.linalg.slogdet(transform[:, :-1])[1]
        linear = (transform * self.first).sum()
        return float(self.frames * determinant + linear - 0.5 * quadratic)

    def estimate(
        self, start: NDArray[np.float64] | None = None, config: FmllrConfig | None = None
    ) -> NDArray[np.float64] | None:
        """The transform, float64 [D, D + 1]; None where there is too little speech.

        Args:
            start: to begin from; None for the identity.
        """
        config = config or FmllrConfig()
        if self.frames < config.min_frames:
            return None
        dim = len(self.first)
        found = np.eye(dim, dim + 1) if start is None else start.copy()
        inverses = np.linalg.inv(self.second)
        for _ in range(config.iterations):
            for d in range(dim):
                cofactor = np.append(np.linalg.inv(found[:, :-1])[:, d], 0.0)
                found[d] = self._row(d, cofactor, inverses[d])
        return found

    def _row(
        self, d: int, cofactor: NDArray[np.float64], inverse: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The best row given the others: (α p + k) G⁻¹ for the better root α of a quadratic."""
        projected = cofactor @ inverse
        square, cross = float(projected @ cofactor), float(projected @ self.first[d])
        width = np.sqrt(cross**2 + 4.0 * square * self.frames)
        roots = [(-cross + width) / (2.0 * square), (-cross - width) / (2.0 * square)]
        values = [
            self.frames * np.log(abs(root * square + cross)) - 0.5 * root**2 * square
            for root in roots
        ]
        best = roots[int(np.argmax(values))]
        return np.asarray(best * projected + self.first[d] @ inverse)


def speaker_transforms(
    model: GmmModel,
    corpus: Corpus,
    alignments: Mapping[str, Alignment],
    previous: Transforms | None = None,
    config: FmllrConfig | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Transforms of all speakers who say enough; pauses are left out.

    Args:
        model: to whose Gaussians speakers are brought.
        corpus: their features.
        alignments: of their utterances.
        previous: transforms that posteriors are computed with, and that are bettered.
        config: options.
    """
    found = {}
    for speaker, names in corpus.cepstra.speakers.items():
        before = None if previous is None else previous.get(speaker)
        stats = FmllrStatistics(model.gmms.dim)
        for name in names:
            if name in alignments:
                plain = corpus.features(name, model)
                _add(stats, plain, alignments[name], model.gmms, model.gmms, before)
        transform = stats.estimate(before, config)
        if transform is not None:
            found[speaker] = transform
    return found


def _add(
    stats: FmllrStatistics,
    plain: NDArray[np.float32],
    alignment: Alignment,
    judging: DiagGmms,
    target: DiagGmms,
    transform: NDArray[np.float64] | None,
) -> None:
    """Add an utterance's speech; ``judging`` gives the posteriors of features through
    ``transform``."""
    speech = alignment.phone != SILENCE_ID
    x = plain[speech]
    seen = x if transform is None else affine(x, transform)
    stats.add(x, *precision_terms(judging, seen, alignment.pdf[speech], target))


def first_transforms(
    model: GmmModel,
    cepstra: Cepstra,
    alignments: Mapping[str, Alignment],
    config: FmllrConfig | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Transforms of speakers from alignments by the speaker-independent Gaussians.

    Those also give the posteriors (Kaldi's gmm-est-fmllr-gpost).
    """
    judging = model.independent or model.gmms
    found = {}
    for speaker, names in cepstra.speakers.items():
        stats = FmllrStatistics(model.gmms.dim)
        for name in names:
            if name in alignments:
                plain = model.features(cepstra.frames[name])
                _add(stats, plain, alignments[name], judging, model.gmms, None)
        transform = stats.estimate(None, config)
        if transform is not None:
            found[speaker] = transform
    return found


def transforms_for_texts(
    model: GmmModel,
    cepstra: Cepstra,
    texts: Mapping[str, str],
    config: FmllrConfig | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Transforms of speakers from what their utterances are believed to say."""
    said = {name: text for name, text in texts.items() if text}
    if not said:
        return {}
    graphs = TextGraphs(said.values(), model.table, model.transitions)
    alignments = aligned_alone(model, cepstra, said, graphs)
    return first_transforms(model, cepstra, alignments, config)


def aligned_alone(
    model: GmmModel, cepstra: Cepstra, texts: Mapping[str, str], graphs: TextGraphs,
    config: AlignConfig | None = None,
) -> dict[str, Alignment]:  # fmt: skip
    """Alignments by the speaker-independent Gaussians; utterances that fail are left out."""
    aligner = Aligner(model.independent or model.gmms, model.transitions, config)
    found = {}
    for name, text in _existing(texts, cepstra):
        try:
            graph = graphs.graph(text)
            found[name] = aligner.align(graph, model.features(cepstra.frames[name]))
        except DataError:
            continue
    return found


def _existing(texts: Mapping[str, str], cepstra: Cepstra) -> Iterable[tuple[str, str]]:
    return ((name, text) for name, text in texts.items() if name in cepstra.frames)
