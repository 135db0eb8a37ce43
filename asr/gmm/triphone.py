"""From one model's alignments to triphones: a tree, its Gaussians, and alignments by its pdfs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError
from asr.gmm.alignment import Alignment
from asr.gmm.corpus import Corpus, Transforms
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.estimation import UpdateConfig
from asr.gmm.model import GmmModel
from asr.gmm.training import TrainingState
from asr.gmm.viterbi import alignment_of
from asr.hmm.pdf_table import PdfTable
from asr.hmm.topology import SILENCE_ID, Topology
from asr.hmm.transition import TransitionModel
from asr.hmm.tree import Tree, TreeConfig, grow
from asr.hmm.tree_statistics import Collector, TreeStatistics


def neighbours_of(alignment: Alignment) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The phone-ids before and after each frame's phone: int32 [T] twice.

    An utterance begins as after a pause and ends as before one.
    """
    segments = alignment.segments()
    phones = [SILENCE_ID, *(segment.phone for segment in segments), SILENCE_ID]
    lengths = [segment.end - segment.begin for segment in segments]
    return (np.repeat(np.array(phones[:-2], np.int32), lengths),
            np.repeat(np.array(phones[2:], np.int32), lengths))  # fmt: skip


def contexts(alignment: Alignment, topology: Topology) -> NDArray[np.int32]:
    """(left, phone, right, pdf class) of each frame: int32 [T, 4], for a tree's statistics."""
    left, right = neighbours_of(alignment)
    phone = alignment.phone.astype(np.int32)
    speech = phone != SILENCE_ID
    pdf_class = alignment.state.astype(np.int32)
    if topology.own_entry:
        pdf_class = 2 * pdf_class + ~alignment.entered
    return np.stack([left * speech, phone, right * speech, pdf_class], axis=1)


def tree_statistics(
    model: GmmModel,
    corpus: Corpus,
    alignments: Mapping[str, Alignment],
    transforms: Transforms | None = None,
) -> TreeStatistics:
    """Of the model's features, by its alignments."""
    collector = Collector(model.dim)
    for name, alignment in alignments.items():
        features = corpus.features(name, model, transforms)
        collector.add(contexts(alignment, model.table.topology), features)
    return collector.done()


def converted(
    alignment: Alignment, tuples: NDArray[np.int32], transitions: TransitionModel
) -> Alignment:
    """The same path by another tree (Kaldi's convert-ali).

    Args:
        tuples: of :meth:`asr.hmm.pdf_table.PdfTable.tuple_table`, of the same topology.
    """
    left, right = neighbours_of(alignment)
    ids = tuples[left, alignment.phone, right, alignment.state]
    return alignment_of(ids, alignment.entered, transitions, alignment.score)


def first_gaussians(tree: Tree, config: UpdateConfig | None = None) -> DiagGmms:
    """One Gaussian a leaf; leaves that no frame reached have that of all (gmm-init-model)."""
    config = config or UpdateConfig()
    moments = tree.moments.copy()
    moments[moments[:, 0] <= 0] = moments.sum(axis=0)
    if not np.all(moments[:, 0] > 0):
        raise DataError("the alignments hold no frames")
    dim = (moments.shape[1] - 1) // 2
    mean = moments[:, 1 : 1 + dim] / moments[:, :1]
    variance = moments[:, 1 + dim :] / moments[:, :1] - mean**2
    return DiagGmms.single(mean, np.maximum(variance, config.min_variance))


def start(
    model: GmmModel,
    corpus: Corpus,
    alignments: Mapping[str, Alignment],
    config: TreeConfig,
    transforms: Transforms | None = None,
) -> tuple[TrainingState, Tree]:
    """Grow a tree on a model's features and alignments: where the training of triphones begins."""
    stats = tree_statistics(model, corpus, alignments, transforms)
    tree = grow(stats, model.table.topology, config)
    return state_of(tree.table, first_gaussians(tree), model, alignments, transforms), tree


def state_of(
    table: PdfTable,
    gmms: DiagGmms,
    model: GmmModel,
    alignments: Mapping[str, Alignment],
    transforms: Transforms | None = None,
) -> TrainingState:
    """The start of a training with another tree's pdfs and alignments converted to them."""
    transitions = table.new_transitions()
    tuples = table.tuple_table(transitions)
    new = replace(
        model, kind="tri" if model.transform is None else "lda", table=table,
        transitions=transitions, gmms=gmms, independent=None,
    )  # fmt: skip
    moved = {name: converted(one, tuples, transitions) for name, one in alignments.items()}
    return TrainingState(0, new, moved, transforms)
