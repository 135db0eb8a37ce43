"""Monophones from a flat start: from sounds and texts alone to a first alignment."""

from __future__ import annotations

import numpy as np

from asr.gmm.corpus import Corpus
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.features import FrontEndConfig, in_context
from asr.gmm.model import GmmModel
from asr.gmm.training import TrainingState
from asr.hmm.pdf_table import monophones
from asr.hmm.topology import CLASSICAL, Topology


def flat_start(
    corpus: Corpus, front_end: FrontEndConfig, topology: Topology = CLASSICAL
) -> TrainingState:
    """One Gaussian a state, of all frames' mean and variance, and equal alignments."""
    table = monophones(topology)
    transitions = table.new_transitions()
    count, total, squares = 0, np.zeros(front_end.dim), np.zeros(front_end.dim)
    for frames in corpus.cepstra.frames.values():
        x = in_context(frames, front_end).astype(np.float64)
        count += len(x)
        total += x.sum(axis=0)
        squares += (x * x).sum(axis=0)
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 1e-3)
    gmms = DiagGmms.single(np.tile(mean, (table.num_pdfs, 1)),
                           np.tile(variance, (table.num_pdfs, 1)))  # fmt: skip
    model = GmmModel("mono", front_end, table, transitions, gmms)
    alignments = corpus.flat_start(corpus.graphs(table, transitions), transitions)
    return TrainingState(0, model, alignments)
