"""Forced alignment: when each sound of a known text was spoken.

HCL, which holds every way to say every text, is cut down to the ways to say one
(:mod:`asr.decoder.align_graph`). Viterbi over what is left gives the best way to say the text and
its times (Rabiner 1989, "A tutorial on hidden Markov models", III.B; Kaldi's
`align-compiled-mapped` does the same over its training graphs). Where the recogniser found the
units, these are the times on its own best path.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from asr.decoder import align_kernels as kernels
from asr.decoder.align_graph import Step, TextGraph, indexed, packed, phone_loop, text_graph
from asr.decoder.path import checked_scores
from asr.errors import DataError, ModelError, UsageError
from asr.graph.hcl import HclGraph
from asr.hangul.phones import CODA_PHONES, NUCLEUS_PHONES, ONSET_PHONES, PHONES


@dataclass(frozen=True, slots=True)
class AlignConfig:
    """Options of forced alignment.

    Attributes:
        exact_cells: the search keeps every path where frames × nodes of the text's graph are no
            more than this (a byte each), and prunes beyond.
        beam: paths this far (nats) below the best are then dropped; widened where that loses all.
        memory: bytes that the search's back-pointers may take.
    """

    exact_cells: int = 1 << 26
    beam: float = 300.0
    memory: int = 1 << 30

    def __post_init__(self) -> None:
        if not self.beam > 0.0 or self.exact_cells < 0 or self.memory < 1:
            raise UsageError("beam and memory must be above 0, exact_cells not below")


class Role(StrEnum):
    """What a phone is in the syllable that it is spoken in."""

    ONSET = "onset"
    NUCLEUS = "nucleus"
    CODA = "coda"


_ROLES = {
    **dict.fromkeys(ONSET_PHONES, Role.ONSET),
    **dict.fromkeys(NUCLEUS_PHONES, Role.NUCLEUS),
    **dict.fromkeys(CODA_PHONES, Role.CODA),
}


@dataclass(frozen=True, slots=True)
class PhoneSpan:
    """One phone as it was spoken.

    Attributes:
        phone: a name of :data:`asr.hangul.phones.PHONES`.
        role: its role in the syllable in which it is spoken (옷이 is 오시: ㅅ is an onset).
        syllable: the number of that syllable, counted over all units.
        unit: the number of that syllable's unit in the sequence that was given.
        start: its first frame.
        end: the frame after its last.
        score: the sum of its frames' acoustic scores (nats).
    """

    phone: str
    role: Role
    syllable: int
    unit: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class AlignedPath:
    """The best way to say a text.

    Attributes:
        spans: the phones in order; what lies between them is silence.
        steps: numbers of the steps taken, in order.
        score: acoustic scores less all costs (nats).
        frame_scores: float32 [T], the acoustic score of each frame on the path.
    """

    spans: tuple[PhoneSpan, ...]
    steps: tuple[int, ...]
    score: float
    frame_scores: NDArray[np.float32] = field(repr=False, compare=False)


class Aligner:
    """Aligns texts with sounds. Immutable: one serves many threads.

    Args:
        graph: compiled HCL over any inventory of units.
    """

    def __init__(self, graph: HclGraph) -> None:
        self._hcl = graph
        self._graph = indexed(graph)
        self._loop = phone_loop(graph)
        self.num_pdfs = 1 + int(max(graph.forward.max(), graph.loop.max()))

    def align(
        self,
        steps: Iterable[Step],
        scores: NDArray[np.float32],
        config: AlignConfig | None = None,
    ) -> AlignedPath:
        """The best path through the text's steps.

        Args:
            steps: a lattice of units over places 0 … N, each step to a higher place; the path leads
                from 0 to the highest.
            scores: float32 [T, pdfs], acoustic scores.
            config: options.

        Raises:
            DataError: the text cannot be said in so few frames, or not at all; or the search would
                need more memory than it may take.
            ModelError: the scores do not fit the graph.
            UsageError: steps that lead backwards.
        """
        config = config or AlignConfig()
        loglikes = checked_scores(scores, self.num_pdfs)
        steps = sorted(steps)
        text = text_graph(self._hcl, self._graph, packed(steps, len(self._graph.unit_begin) - 1))
        left = kernels.frames_to_end(text)
        if left[0] == kernels.NEVER:
            raise DataError(
                "the text cannot be pronounced with this model's units; check its spelling"
            )
        if left[0] > len(loglikes):
            raise DataError(
                f"the text needs {left[0]} frames at least and the sound has {len(loglikes)}: "
                "the text is longer than what was said, or the wrong one"
            )
        path, edges, score, ending = _search(text, left, loglikes, config)
        return self._read(text, path, edges, score, ending, loglikes)

    def free_scores(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """The best acoustic score up to each frame over all phone sequences: float64 [T + 1].

        What an alignment scores less is a measure of how well the text fits ("goodness of
        pronunciation": Witt and Young 2000).
        """
        loglikes = checked_scores(scores, self.num_pdfs)
        totals: NDArray[np.float64] = kernels.best_of_any_phones(self._loop, loglikes)
        return totals

    def _read(
        self,
        text: TextGraph,
        path: NDArray[np.int32],
        edges: NDArray[np.int32],
        score: float,
        ending: int,
        loglikes: NDArray[np.float32],
    ) -> AlignedPath:
        entered = edges >= 0
        pdfs = np.where(entered, text.forward[path], text.loop[path])
        frame_scores = loglikes[np.arange(len(path)), pdfs]
        labels = np.full(len(path), kernels.DIRECT, np.int32)
        labels[entered] = text.edge_step[edges[entered]]
        phones = self._hcl.phone[text.state[path]]
        taken = [*labels[labels >= 0].tolist(), ending]
        return AlignedPath(
            spans=tuple(_spans(phones, entered, labels, frame_scores)),
            steps=tuple(step for step in taken if step >= 0),
            score=score,
            frame_scores=frame_scores,
        )


def align_units(
    graph: HclGraph,
    units: Sequence[int],
    scores: NDArray[np.float32],
    config: AlignConfig | None = None,
) -> tuple[PhoneSpan, ...]:
    """When each sound of a sequence of LM units was spoken, in frames.

    Pauses are possible wherever the units' spacing has a space. For many utterances make one
    :class:`Aligner` and call :func:`linear_steps`: indexing the graph takes longer than aligning.

    Args:
        graph: compiled HCL.
        units: LM unit ids.
        scores: float32 [T, pdfs], acoustic scores.
        config: options.

    Raises:
        DataError: the units cannot be said in so few frames, or never.
        ModelError: the scores do not fit the graph.
    """
    return Aligner(graph).align(linear_steps(units), scores, config).spans


def linear_steps(units: Sequence[int]) -> list[Step]:
    """The steps of one sequence of units and no other."""
    return [Step(place, place + 1, unit) for place, unit in enumerate(units)]


def _search(
    text: TextGraph, left: NDArray[np.int32], loglikes: NDArray[np.float32], config: AlignConfig
) -> tuple[NDArray[np.int32], NDArray[np.int32], float, int]:
    """Nodes and edges by frame, the score, and the step that the end completes."""
    lowest, highest = neighbours(text)
    beam = config.beam
    if len(loglikes) * len(left) <= config.exact_cells:
        beam = math.inf
    while True:
        status, final, *pointers = kernels.viterbi(
            text, left, lowest, highest, loglikes, beam, config.memory
        )
        if status == kernels.OUT_OF_MEMORY:
            raise DataError(
                f"aligning {len(loglikes)} frames with this text needs more than "
                f"{config.memory >> 20} MiB: cut the sound and its text into parts"
            )
        totals = final - text.final_cost
        if status == kernels.DONE and totals.max() > -math.inf:
            break
        if beam == math.inf:
            raise ModelError("the acoustic scores leave no path through the text")
        beam = beam * 4 if beam < 1e5 else math.inf
    node = int(np.argmax(totals))
    path, edges = kernels.trace(text, node, *pointers)
    return path, edges, float(totals[node]), int(text.final_step[node])


def _spans(
    phones: NDArray[np.int16],
    entered: NDArray[np.bool_],
    labels: NDArray[np.int32],
    frame_scores: NDArray[np.float32],
) -> Iterator[PhoneSpan]:
    """Cut the path where a phone begins: another one, or any past a junction.

    Args:
        phones: int16 [T], index into PHONES, or -1 in pauses.
        entered: bool [T], whether the path changed its state.
        labels: int32 [T], what the edge into the frame's state passed.
        frame_scores: float32 [T].
    """
    changed = np.diff(phones, prepend=-2) != 0
    begins = np.flatnonzero(entered & (changed | (labels != kernels.DIRECT)))
    units_before = np.cumsum(labels >= 0)
    syllable, unit, vowels = 0, 0, 0
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(phones)], strict=False):
        if phones[begin] < 0:
            continue
        phone = PHONES[int(phones[begin])]
        role = _ROLES[phone]
        if role != Role.CODA:  # a coda belongs to the vowel before it, whose unit is complete
            syllable, unit = vowels, int(units_before[begin])
        vowels += role == Role.NUCLEUS
        score = float(frame_scores[begin:end].sum(dtype=np.float64))
        yield PhoneSpan(phone, role, syllable, unit, begin, end, score)


def neighbours(text: TextGraph) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """How far down and up the next frame may lead from a range of nodes, for the kernel."""
    own = np.arange(len(text.state), dtype=np.int32)
    targets = np.repeat(own, np.diff(text.edge_begin))
    lowest, highest = own.copy(), own + 1
    np.minimum.at(lowest, text.edge_source, targets)
    np.maximum.at(highest, text.edge_source, targets + 1)
    return np.minimum.accumulate(lowest[::-1])[::-1].copy(), np.maximum.accumulate(highest)
