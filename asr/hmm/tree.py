"""Growing phonetic decision trees: which states of which phones in which contexts share a pdf.

Each speech phone has one tree over all its HMM states, silence has a pdf a state. The leaf whose
best question gains most likelihood is split, again and again; leaves of a phone that hardly differ
are joined at the end (Kaldi's build-tree with roots "shared split"; Odell 1995, "The use of context
in large vocabulary speech recognition").
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError, UsageError
from asr.hmm.pdf_table import NO_PDF, PdfTable
from asr.hmm.questions import phone_questions
from asr.hmm.topology import NUM_PHONES, SILENCE_ID, SURFACE_PHONES, Topology
from asr.hmm.tree_statistics import TreeStatistics, log_likelihood

STATE, LEFT, RIGHT = "state", "left", "right"


@dataclass(frozen=True, slots=True)
class TreeConfig:
    """Options of build-tree.

    Attributes:
        leaves: as many at most, silence's among them.
        min_gain: of a split (nats over all frames).
        join_below: leaves of a phone are joined where that costs less; None for what the last
            split gained.
        left, right: whether there are questions about the phone before, and the phone after.
    """

    leaves: int = 2000
    min_gain: float = 300.0
    join_below: float | None = None
    left: bool = True
    right: bool = True

    def __post_init__(self) -> None:
        if self.leaves < NUM_PHONES or not self.min_gain > 0:
            raise UsageError(f"a tree has at least {NUM_PHONES} leaves, and splits that gain")


class Question(NamedTuple):
    """Is the pdf class, or the phone to one side, one of these?"""

    about: str
    name: str
    members: NDArray[np.bool_]


class Split(NamedTuple):
    """A question and how much likelihood it gains."""

    gain: float
    question: Question


@dataclass(slots=True, eq=False)
class Leaf:
    """All contexts of a phone for which some questions have the same answers.

    rows: those that were seen, in the statistics; left, right: bool [P + 1]; classes: bool [C].
    """

    phone: int
    rows: NDArray[np.intp]
    left: NDArray[np.bool_]
    right: NDArray[np.bool_]
    classes: NDArray[np.bool_]


class Tree(NamedTuple):
    """What was grown.

    table: the pdf of each state in each context. moments: float64 [pdfs, 1 + 2D] of each leaf.
    gain: likelihood gained by all splits (nats a frame). splits: how many were made.
    """

    table: PdfTable
    moments: NDArray[np.float64]
    gain: float
    splits: int


def questions_of(topology: Topology, config: TreeConfig) -> list[Question]:
    """All that may be asked: which of the first pdf classes, and classes of neighbours."""
    classes = num_classes(topology)
    questions = [
        Question(STATE, f"class < {count}", np.arange(classes) < count)
        for count in range(1, topology.speech_states * (1 + topology.own_entry))
    ]
    for about, wanted in ((LEFT, config.left), (RIGHT, config.right)):
        if wanted:
            questions += [Question(about, name, who) for name, who in phone_questions().items()]
    return questions


def num_classes(topology: Topology) -> int:
    """Pdf classes of the longest phone."""
    return topology.most * (1 + topology.own_entry)


def best_split(
    stats: TreeStatistics, rows: NDArray[np.intp], questions: list[Question]
) -> Split | None:
    """The question that gains most likelihood over some contexts; None where none gains."""
    moments = stats.moments[rows]
    whole = log_likelihood(moments.sum(axis=0))
    best: Split | None = None
    for about, keys in ((STATE, stats.pdf_class), (LEFT, stats.left), (RIGHT, stats.right)):
        asked = [question for question in questions if question.about == about]
        if not asked:
            continue
        values, inverse = np.unique(keys[rows], return_inverse=True)
        if len(values) < 2:
            continue
        by_value = np.zeros((len(values), moments.shape[1]))
        np.add.at(by_value, inverse, moments)
        answers = np.stack([question.members for question in asked])[:, values]
        yes = answers.astype(np.float64) @ by_value
        no = (~answers).astype(np.float64) @ by_value
        gains = log_likelihood(yes) + log_likelihood(no) - whole
        gains[answers.all(axis=1) | ~answers.any(axis=1)] = 0.0
        first = int(np.argmax(gains))
        if gains[first] > (best.gain if best else 0.0):
            best = Split(float(gains[first]), asked[first])
    return best


def grow(stats: TreeStatistics, topology: Topology, config: TreeConfig | None = None) -> Tree:
    """Grow the trees of all phones at once, the best split first.

    Raises:
        DataError: the statistics hold no frame of a speech phone.
    """
    config = config or TreeConfig()
    if not np.any(stats.phone != SILENCE_ID):
        raise DataError("the alignments hold no speech: a tree cannot be grown from them")
    questions = questions_of(topology, config)
    leaves = _roots(stats, topology)
    total = topology.silence_states * (1 + topology.own_entry) + len(leaves)
    heap: list[tuple[float, int, Split]] = []

    def consider(number: int) -> None:
        found = best_split(stats, leaves[number].rows, questions)
        if found is not None and found.gain > config.min_gain:
            heapq.heappush(heap, (-found.gain, number, found))

    for number in range(len(leaves)):
        consider(number)
    gained, last, splits = 0.0, 0.0, 0
    while heap and total < config.leaves:
        _, number, found = heapq.heappop(heap)
        leaves[number], other = _divided(stats, leaves[number], found.question)
        leaves.append(other)
        consider(number)
        consider(len(leaves) - 1)
        total, gained, last, splits = total + 1, gained + found.gain, found.gain, splits + 1
    threshold = last if config.join_below is None else config.join_below
    groups = _joined(stats, leaves, threshold)
    frames = float(stats.moments[:, 0].sum())
    return _finished(stats, topology, config, groups, gained / frames, splits)


def _roots(stats: TreeStatistics, topology: Topology) -> list[Leaf]:
    every = np.ones(NUM_PHONES + 1, bool)
    classes = np.zeros(num_classes(topology), bool)
    classes[: topology.speech_states * (1 + topology.own_entry)] = True
    return [
        Leaf(phone, np.flatnonzero(stats.phone == phone), every, every, classes)
        for phone in SURFACE_PHONES.symbols
        if phone != SILENCE_ID
    ]


def _divided(stats: TreeStatistics, leaf: Leaf, question: Question) -> tuple[Leaf, Leaf]:
    column = {STATE: "pdf_class", LEFT: "left", RIGHT: "right"}[question.about]
    region = {STATE: "classes", LEFT: "left", RIGHT: "right"}[question.about]
    answer = question.members[getattr(stats, column)[leaf.rows]]
    halves = []
    for rows, members in ((leaf.rows[answer], question.members),
                          (leaf.rows[~answer], ~question.members)):  # fmt: skip
        regions = {"left": leaf.left, "right": leaf.right, "classes": leaf.classes}
        regions[region] = regions[region] & members
        halves.append(Leaf(leaf.phone, rows, **regions))
    return halves[0], halves[1]


def _joined(stats: TreeStatistics, leaves: list[Leaf], threshold: float) -> list[list[Leaf]]:
    """Leaves by pdf: pairs of a phone's are joined, the cheapest first, while below the threshold
    (Kaldi's ClusterBottomUp)."""
    groups: list[list[Leaf]] = []
    for phone in SURFACE_PHONES.symbols:
        own = [[leaf] for leaf in leaves if leaf.phone == phone]
        moments = [stats.moments[group[0].rows].sum(axis=0) for group in own]
        while len(own) > 1:
            table = np.array(moments)
            alone = log_likelihood(table)
            losses = alone[:, None] + alone[None] - log_likelihood(table[:, None] + table[None])
            losses[np.tril_indices(len(own))] = np.inf
            a, b = divmod(int(np.argmin(losses)), len(own))
            if not losses[a, b] < threshold:
                break
            own[a] += own.pop(b)
            moments[a] = moments[a] + moments.pop(b)
        groups += own
    return groups


def _finished(
    stats: TreeStatistics,
    topology: Topology,
    config: TreeConfig,
    groups: list[list[Leaf]],
    gain: float,
    splits: int,
) -> Tree:
    size = NUM_PHONES + 1
    kinds = 1 + topology.own_entry
    by_class = np.full((size, size, size, num_classes(topology)), NO_PDF, np.int32)
    moments = []
    for pdf in range(topology.silence_states * kinds):
        by_class[1:, SILENCE_ID, 1:, pdf] = pdf
        rows = (stats.phone == SILENCE_ID) & (stats.pdf_class == pdf)
        moments.append(stats.moments[rows].sum(axis=0))
    for pdf, group in enumerate(groups, start=len(moments)):
        for leaf in group:
            lefts, rights = np.flatnonzero(leaf.left[1:]) + 1, np.flatnonzero(leaf.right[1:]) + 1
            here = np.ix_(lefts, np.array([leaf.phone]), rights, np.flatnonzero(leaf.classes))
            by_class[here] = pdf
        moments.append(stats.moments[np.concatenate([leaf.rows for leaf in group])].sum(axis=0))
    # a state's two pdfs: of its first frame and of the others; one and the same in classical models
    both = np.stack([by_class[..., ::kinds], by_class[..., kinds - 1 :: kinds]], axis=-1)
    table = PdfTable(topology, both, config.left, config.right)
    return Tree(table, np.array(moments), gain, splits)
