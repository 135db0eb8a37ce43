"""Forced alignment of training texts (Kaldi's gmm-align-compiled)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.decoder import align_kernels as kernels
from asr.decoder.align_graph import TextGraph
from asr.errors import DataError, UsageError
from asr.gmm.alignment import Alignment
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.text_graphs import TrainingGraph
from asr.hmm.transition import TransitionModel
from asr.hmm.transition_training import transition_costs

MEMORY = 1 << 30
"""Bytes of back-pointers that one utterance may take."""


@dataclass(frozen=True, slots=True)
class AlignConfig:
    """Options, by Kaldi's names and with its recipes' values.

    Attributes:
        acoustic_scale: weight of log-likelihoods against the graph's costs.
        self_loop_scale: weight of staying in states against leaving them.
        beam: paths this far (nats, scaled) below the best are dropped.
        retry_beam: of a second try, where the first loses all paths; 0 for none.
    """

    acoustic_scale: float = 0.1
    self_loop_scale: float = 0.1
    beam: float = 10.0
    retry_beam: float = 40.0

    def __post_init__(self) -> None:
        if not (self.acoustic_scale > 0 and self.self_loop_scale >= 0 and self.beam > 0):
            raise UsageError("the beam and the acoustic scale must be positive")
        if self.retry_beam and self.retry_beam < self.beam:
            raise UsageError("retry_beam is 0 or no less than beam")


class Aligner:
    """Aligns utterances with one model. One serves many threads.

    Args:
        gmms: of the pdfs.
        transitions: whose tuples the graphs name.
        config: options.
    """

    def __init__(
        self, gmms: DiagGmms, transitions: TransitionModel, config: AlignConfig | None = None
    ) -> None:
        self.config = config or AlignConfig()
        self._gmms = gmms
        self._transitions = transitions
        self._stay, self._leave = transition_costs(transitions, self.config.self_loop_scale)

    def align(self, graph: TrainingGraph, features: NDArray[np.float32]) -> Alignment:
        """The best path through a text's graph.

        Args:
            graph: of the text.
            features: float32 [T, D].

        Raises:
            DataError: the text cannot be said in so few frames, or both beams lost all paths.
        """
        if graph.frames_needed > len(features):
            raise DataError(
                f"the text takes {graph.frames_needed} frames and the sound has {len(features)}"
            )
        text, loglikes = self._scored(graph.text, features)
        # a path may be too late for its end: that is how a text that was not said shows
        anywhere = np.zeros(len(text.forward), np.int32)
        for beam in (self.config.beam, self.config.retry_beam):
            if not beam:
                continue
            status, final, *pointers = kernels.viterbi(
                text, anywhere, graph.lowest, graph.highest, loglikes, beam, MEMORY
            )
            if status == kernels.OUT_OF_MEMORY:
                raise DataError(
                    "the sound is too long to align in one piece: cut it into segments, or align"
                    " with a narrower beam"
                )
            totals = final - text.final_cost
            if status == kernels.DONE and totals.max() > -math.inf:
                node = int(np.argmax(totals))
                path, edges = kernels.trace(text, node, *pointers)
                entered = edges >= 0
                columns = np.where(entered, text.forward[path], text.loop[path])
                said = loglikes[np.arange(len(path)), columns]
                score = float(said.mean(dtype=np.float64)) / self.config.acoustic_scale
                return alignment_of(graph.text.forward[path], entered, self._transitions, score)
        raise DataError("the sound does not fit the text: every path was lost by the beam")

    def _scored(
        self, text: TextGraph, features: NDArray[np.float32]
    ) -> tuple[TextGraph, NDArray[np.float32]]:
        """The graph with its costs and with columns of the scores of its own pdfs alone."""
        tuples = text.forward
        both = np.stack([self._transitions.tuple_forward_pdf[tuples],
                         self._transitions.tuple_self_loop_pdf[tuples]])  # fmt: skip
        pdfs, columns = np.unique(both, return_inverse=True)
        columns = columns.reshape(both.shape).astype(np.int32)
        loglikes = self._gmms.loglikes(features, pdfs)
        loglikes *= np.float32(self.config.acoustic_scale)
        target = np.repeat(np.arange(len(tuples)), np.diff(text.edge_begin))
        scored = text._replace(
            forward=columns[0],
            loop=columns[1],
            loop_cost=text.loop_cost + self._stay[tuples],
            edge_cost=text.edge_cost + self._leave[tuples[target]],
        )
        return scored, loglikes


def alignment_of(
    tuples: NDArray[np.int32],
    entered: NDArray[np.bool_],
    transitions: TransitionModel,
    score: float = 0.0,
) -> Alignment:
    """An alignment from the tuple of each frame and whether its state was entered in it."""
    forward = transitions.tuple_forward_pdf[tuples]
    return Alignment(
        pdf=np.where(entered, forward, transitions.tuple_self_loop_pdf[tuples]),
        tuple_id=tuples,
        phone=transitions.tuple_phone[tuples].astype(np.uint8),
        state=transitions.tuple_state[tuples].astype(np.uint8),
        entered=entered,
        score=score,
    )
