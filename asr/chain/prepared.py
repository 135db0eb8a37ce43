"""Graphs with their weights as probabilities, and sums over their paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.chain import accuracy_kernels, kernels
from asr.chain.denominator import leaky_probabilities
from asr.chain.hmm_graph import HmmGraph


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

    def identity(self) -> tuple[NDArray[np.generic], ...]:
        """What tells the graph from others."""
        return tuple(self.graph)

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

    def add_accuracy(
        self,
        scores: NDArray[np.floating],
        accuracy: NDArray[np.floating],
        posteriors: NDArray[np.floating],
        gradient: NDArray[np.floating],
    ) -> tuple[float, float]:
        """The log of the sum of paths, and the expected accuracy of a path.

        Args:
            scores: [T, pdfs].
            accuracy: [T, pdfs], what a path gains by a pdf in a frame.
            posteriors, gradient: [T, pdfs]; the occupations, and the gradient of the expected
                accuracy by the scores, are added. Nothing is where there is no path (−inf, 0).
        """
        frames, states = len(scores), self.graph.states
        logprob, expected = accuracy_kernels.expected_accuracy(
            *self.arrays, scores, accuracy, posteriors, gradient,
            np.empty((frames + 1, states)), np.empty((frames + 1, states)),
            np.empty((frames, states)), np.empty((frames, states)), np.empty((6, states)),
            np.empty(scores.shape[1]),
        )  # fmt: skip
        return float(logprob), float(expected)


def _weights(costs: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.exp(-costs.astype(np.float64))


def summed(graph: HmmGraph, scores: NDArray[np.floating], leaky: float = 0.0) -> Summed:
    """Sum over all paths of a graph through scores [T, pdfs]."""
    posteriors = np.zeros_like(scores)
    logprob = PreparedGraph(graph, leaky).add(scores, posteriors, 1.0)
    return Summed(logprob, posteriors)
