"""Trees of chain models from alignments of classical ones."""

import made_up_speech
import numpy as np

from asr.gmm.alignment import Alignment
from asr.gmm.chain_tree import chain_frames, chain_pdfs, chain_tree
from asr.gmm.features import FrontEndConfig
from asr.gmm.mono import flat_start
from asr.graph.hcl import compile_hcl
from asr.graph.lexicon import Lexicon
from asr.graph.phone_models import decoding_models
from asr.hmm.topology import CHAIN, SURFACE_PHONES
from asr.hmm.tree import TreeConfig


def alignment_of_phones(phones: list[int], lengths: list[int]) -> Alignment:
    phone = np.repeat(phones, lengths).astype(np.uint8)
    entered = np.zeros(len(phone), bool)
    entered[np.cumsum([0, *lengths[:-1]])] = True
    nothing = np.zeros(len(phone), np.int32)
    return Alignment(nothing, nothing, phone, nothing.astype(np.uint8), entered, 0.0)


def test_every_third_frame_knows_its_neighbours():
    frames = chain_frames(alignment_of_phones([1, 7, 9, 9, 1], [4, 6, 1, 4, 2]))
    # frames 0 3 6 9 12 15: the third phone falls between two of them
    assert frames[:, 1].tolist() == [1, 1, 7, 7, 9, 1]
    assert frames[:, 3].tolist() == [0, 1, 0, 1, 0, 0]
    assert frames[2].tolist() == [1, 7, 9, 0] and frames[4].tolist() == [9, 9, 1, 0]
    assert frames[5].tolist() == [9, 1, 1, 0]


def test_a_chain_tree_makes_a_graph_and_targets():
    corpus, _ = made_up_speech.corpus(20)
    state = flat_start(corpus, FrontEndConfig(deltas=1))
    config = TreeConfig(leaves=150, min_gain=20.0, right=False)
    tree = chain_tree(state.model, corpus, state.alignments, config)
    table = tree.table
    assert table.topology == CHAIN and not table.right and tree.splits > 0
    targets = chain_pdfs(state.alignments[corpus.ids[0]], table)
    assert len(targets) == -(-len(state.alignments[corpus.ids[0]]) // 3)
    assert targets.min() >= 0 and targets.max() < table.num_pdfs
    emissions = decoding_models(table, table.new_transitions(), 0.0)
    at = SURFACE_PHONES.symbols
    (only,) = emissions.states(at[1], at[20], None)
    assert (only.forward, only.loop) == tuple(table.pdf[1, 20, 1, 0].tolist())
    assert only.loop_cost == only.forward_cost == 0.0
    units = {"▁가": 0, "나": 1}
    graph = compile_hcl(Lexicon(units), emissions, units)
    assert graph.forward.max() < table.num_pdfs
