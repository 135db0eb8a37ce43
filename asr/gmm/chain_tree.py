"""From a GMM's alignments to the tree of a chain model: one state a phone, fewer frames.

Kaldi's steps/nnet3/chain/build_tree.sh. The states of the tree, for a graph:

    tree = chain_tree(model, corpus, alignments, TreeConfig(leaves=1200, right=False))
    emissions = decoding_models(tree.table, tree.table.new_transitions(), 0.0)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from asr.errors import UsageError
from asr.gmm.alignment import Alignment
from asr.gmm.corpus import Corpus, Transforms
from asr.gmm.model import GmmModel
from asr.hmm.pdf_table import PdfTable
from asr.hmm.topology import CHAIN, SILENCE_ID
from asr.hmm.tree import Tree, TreeConfig, grow
from asr.hmm.tree_statistics import Collector

SUBSAMPLING = 3
"""Frames of features for each of a chain model."""


def chain_frames(alignment: Alignment, subsampling: int = SUBSAMPLING) -> NDArray[np.int32]:
    """(left, phone, right, pdf class) of each ``subsampling``-th frame: int32 [N, 4].

    The pdf class is 0 in a phone's first frame, 1 in its further ones; N = ceil(T / subsampling).
    Phones between two such frames are nobody's, but are neighbours of those beside them.

    Raises:
        UsageError: a factor below 1.
    """
    if subsampling < 1:
        raise UsageError(f"every frame or every few frames are taken, not every {subsampling}th")
    segments = alignment.segments()
    phones = np.array([SILENCE_ID, *(one.phone for one in segments), SILENCE_ID], np.int32)
    lengths = [one.end - one.begin for one in segments]
    number = np.repeat(np.arange(len(segments)), lengths)[::subsampling]
    stays = np.diff(number, prepend=-1) == 0
    return np.stack([phones[number], phones[number + 1], phones[number + 2], stays], axis=1,
                    dtype=np.int32, casting="unsafe")  # fmt: skip


def chain_tree(
    model: GmmModel,
    corpus: Corpus,
    alignments: Mapping[str, Alignment],
    config: TreeConfig,
    transforms: Transforms | None = None,
    subsampling: int = SUBSAMPLING,
) -> Tree:
    """Grow the tree of a chain model on a GMM's features and alignments.

    Args:
        config: with ``right=False`` for what LF-MMI takes: left context only.
        transforms: of speakers, where the model has them.
    """
    collector = Collector(model.dim)
    for name, alignment in alignments.items():
        frames = chain_frames(alignment, subsampling)
        speech = frames[:, 1] != SILENCE_ID
        frames[:, [0, 2]] *= speech[:, None]
        features = corpus.features(name, model, transforms)
        collector.add(frames, features[::subsampling])
    return grow(collector.done(), CHAIN, config)


def chain_pdfs(
    alignment: Alignment, table: PdfTable, subsampling: int = SUBSAMPLING
) -> NDArray[np.int32]:
    """The pdf of each of a chain model's frames: int32 [N], targets of cross-entropy."""
    left, phone, right, kind = chain_frames(alignment, subsampling).T
    return np.asarray(table.pdf[left, phone, right, 0, kind])
