"""LF-MMI: the log-probability of what was said, less that of everything that might have been.

Povey et al. 2016, "Purely sequence-trained neural networks for ASR based on lattice-free MMI"; on
whole utterances and with all ways to say a text in the numerator, as Hadian et al. 2018,
"End-to-end speech recognition using lattice-free MMI".
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.chain import kernels
from asr.chain.denominator import leaky_probabilities
from asr.chain.hmm_graph import HmmGraph
from asr.errors import UsageError


@dataclass(frozen=True, slots=True)
class LfMmiConfig:
    """Options of the objective.

    Attributes:
        leaky: of the denominator's leaky HMM (Kaldi's leaky-hmm-coefficient).
        l2: of the outputs, a frame: keeps them from drifting, as only differences count.
        xent: weight of cross-entropy of the second head with the numerator's posteriors.
        threads: over utterances, on the CPU; 0: as many as torch has.
    """

    leaky: float = 1e-5
    l2: float = 5e-5
    xent: float = 0.1
    threads: int = 0

    def __post_init__(self) -> None:
        if min(self.leaky, self.l2, self.xent, self.threads) < 0:
            raise UsageError("leaky, l2, xent and threads may not be below 0")


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """Sums over the paths of one graph.

    logprob: natural log of the sum, −inf where there is no path. posteriors: float32 or float64
    [T, pdfs], the occupation of each pdf.
    """

    logprob: float
    posteriors: NDArray[np.floating]


class PreparedGraph:
    """A graph with its weights as probabilities, ready for sums over its paths."""

    def __init__(self, graph: HmmGraph, leaky: float = 0.0) -> None:
        self.graph = graph
        self.arrays = (
            graph.forward, graph.loop, _weights(graph.loop_cost), graph.edge_begin,
            graph.edge_source, _weights(graph.edge_cost), _weights(graph.final_cost),
            leaky * leaky_probabilities(graph) if leaky else np.zeros(graph.states),
        )  # fmt: skip

    def add(
        self, scores: NDArray[np.floating], posteriors: NDArray[np.floating], factor: float
    ) -> float:
        """Add ``factor`` · posteriors to ``posteriors`` [T, pdfs]; the log of the sum of paths.

        Nothing is added where there is no path (−inf).
        """
        states = self.graph.states
        return float(
            kernels.forward_backward(
                *self.arrays, scores, posteriors, factor,
                np.empty((len(scores) + 1, states)), np.empty((len(scores), states)),
                np.empty((3, states)), np.empty(scores.shape[1]),
            )
        )  # fmt: skip


def _weights(costs: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.exp(-costs.astype(np.float64))


def summed(graph: HmmGraph, scores: NDArray[np.floating], leaky: float = 0.0) -> Summed:
    """Sum over all paths of a graph through scores [T, pdfs]."""
    posteriors = np.zeros_like(scores)
    logprob = PreparedGraph(graph, leaky).add(scores, posteriors, 1.0)
    return Summed(logprob, posteriors)


class LfMmiLoss:
    """The denominator with its options: differences of log-probabilities and their gradients."""

    def __init__(self, denominator: HmmGraph, config: LfMmiConfig | None = None) -> None:
        self.config = config or LfMmiConfig()
        self._denominator = PreparedGraph(denominator, self.config.leaky)
        self.num_pdfs = denominator.num_pdfs

    def __call__(
        self, outputs: Tensor, lengths: Tensor, numerators: Sequence[PreparedGraph]
    ) -> MmiResult:
        """Of a batch.

        Args:
            outputs: float [B, N, pdfs], on any device; sums are taken on the CPU in float64.
            lengths: int64 [B], frames of each.
            numerators: [B].
        """
        rows = outputs.detach().cpu().numpy()
        sizes = lengths.tolist()
        gradient = np.zeros_like(rows)
        posteriors = np.zeros_like(rows) if self.config.xent else None

        def one(place: int) -> tuple[float, float]:
            scores = np.ascontiguousarray(rows[place, : sizes[place]])
            said = np.zeros_like(scores)
            numerator = numerators[place].add(scores, said, 1.0)
            if not np.isfinite(numerator):
                return -np.inf, -np.inf
            gradient[place, : len(scores)] = said
            if posteriors is not None:
                posteriors[place, : len(scores)] = said
            return numerator, self._denominator.add(scores, gradient[place, : len(scores)], -1.0)

        threads = self.config.threads or torch.get_num_threads()
        if threads > 1 and len(rows) > 1:
            with ThreadPoolExecutor(min(threads, len(rows))) as pool:
                logprobs = list(pool.map(one, range(len(rows))))
        else:
            logprobs = [one(place) for place in range(len(rows))]
        used = [np.isfinite(pair).all() for pair in logprobs]
        for place in np.flatnonzero(~np.array(used, bool)):
            gradient[place] = 0.0
            if posteriors is not None:
                posteriors[place] = 0.0
        numerator = sum(pair[0] for pair, good in zip(logprobs, used, strict=True) if good)
        denominator = sum(pair[1] for pair, good in zip(logprobs, used, strict=True) if good)
        frames = sum(size for size, good in zip(sizes, used, strict=True) if good)
        return MmiResult(
            numerator=float(numerator),
            denominator=float(denominator),
            frames=int(frames),
            used=torch.tensor(np.array(used, bool)),
            gradient=torch.from_numpy(gradient).to(outputs.device, outputs.dtype),
            posteriors=None
            if posteriors is None
            else torch.from_numpy(posteriors).to(outputs.device, outputs.dtype),
        )


@dataclass(frozen=True, slots=True, eq=False)
class MmiResult:
    """Of a batch: log-probabilities summed over utterances, and the gradient of their difference.

    Attributes:
        numerator, denominator: natural logs.
        frames: of the utterances that count.
        used: bool [B] (CPU); false for utterances too short for their text, which do not count.
        gradient: float [B, N, pdfs], of numerator − denominator by the outputs.
        posteriors: float [B, N, pdfs], of the numerator, where they are needed.
    """

    numerator: float
    denominator: float
    frames: int
    used: Tensor
    gradient: Tensor
    posteriors: Tensor | None

    def attached(self, outputs: Tensor) -> Tensor:
        """numerator − denominator as a scalar whose gradient by ``outputs`` is ``gradient``."""
        value: Tensor = _Attached.apply(outputs, self.gradient, self.numerator - self.denominator)
        return value


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, outputs: Tensor, gradient: Tensor, value: float) -> Tensor:
        context.save_for_backward(gradient)
        return outputs.new_tensor(value)

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = context.saved_tensors
        return grads[0] * gradient, None, None
