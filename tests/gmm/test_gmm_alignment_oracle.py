"""Our alignment is Kaldi's: the same graph, the same mixtures, the same path."""

import made_up_speech
import numpy as np
import pytest
from kaldi_hmm import monophone_transitions

from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.features import FrontEndConfig, in_context
from asr.gmm.viterbi import AlignConfig, Aligner
from asr.hmm.pdf_table import monophones
from asr.hmm.topology import CLASSICAL
from asr.hmm.transition_training import transition_costs

fst = pytest.importorskip("kaldifst")
khg = pytest.importorskip("kaldi_hmm_gmm")


def as_fst(text, stay, leave):
    """The graph with a transition-id of its tuple on each arc, and every cost."""
    graph = fst.StdVectorFst()
    for _ in text.state:
        graph.add_state()
    graph.start = 0
    for node, tuple_id in enumerate(text.forward.tolist()):
        label = 2 * tuple_id + 1
        for edge in range(text.edge_begin[node], text.edge_begin[node + 1]):
            cost = float(text.edge_cost[edge] + leave[tuple_id])
            graph.add_arc(int(text.edge_source[edge]), fst.StdArc(label, 0, cost, node))
        if text.loop_cost[node] < 1e5:
            cost = float(text.loop_cost[node] + stay[tuple_id])
            graph.add_arc(node, fst.StdArc(label, 0, cost, node))
        if np.isfinite(text.final_cost[node]):
            graph.set_final(node, float(text.final_cost[node]))
    return graph


def test_paths_are_kaldis():
    corpus, _ = made_up_speech.corpus(6, seed=4)
    table = monophones(CLASSICAL)
    transitions = table.new_transitions()
    graphs = corpus.graphs(table, transitions)
    generator = np.random.default_rng(1)
    shape = (table.num_pdfs, 26)
    gmms = DiagGmms.single(3.0 * generator.standard_normal(shape), generator.uniform(5, 30, shape))
    mixtures = khg.AmDiagGmm()
    for mean, variance in zip(gmms.mean, gmms.variance, strict=True):
        one = khg.DiagGmm(1, shape[1])
        one.set_weights(np.ones(1, np.float32))
        one.set_invvars_and_means((1 / variance)[None].astype(np.float32),
                                  mean[None].astype(np.float32))  # fmt: skip
        one.compute_gconsts()
        mixtures.add_pdf(one)
    kaldi = monophone_transitions(khg)
    config = AlignConfig(beam=200.0, retry_beam=400.0)
    stay, leave = transition_costs(transitions, config.self_loop_scale)
    for name, text in corpus.texts.items():
        frames = in_context(corpus.cepstra.frames[name], FrontEndConfig(deltas=1))
        training = graphs.graph(text)
        ours = Aligner(gmms, transitions, config).align(training, frames)
        decodable = khg.DecodableAmDiagGmmScaled(mixtures, kaldi, frames, config.acoustic_scale)
        options = khg.AlignConfig(beam=200.0, retry_beam=400.0)
        done, *_, ids, _ = khg.align_utterance_wrapper(
            options, name, config.acoustic_scale, as_fst(training.text, stay, leave), decodable,
            0, 0, 0, 0.0, 0,
        )  # fmt: skip
        assert done == 1
        assert [(i - 1) // 2 for i in ids] == ours.tuple_id.tolist()
