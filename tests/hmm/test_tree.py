"""Decision trees: their criterion is Kaldi's, their splits are the best, their tables whole."""

import itertools

import numpy as np
import pytest

from asr.hangul.phones import PHONES
from asr.hmm.questions import JAMO_CLASSES, phone_questions
from asr.hmm.topology import CHAIN, CLASSICAL, NUM_PHONES
from asr.hmm.tree import TreeConfig, best_split, grow, questions_of
from asr.hmm.tree_statistics import TreeStatistics, log_likelihood

DIM = 3


def made_up(frames: int = 6000, seed: int = 0) -> TreeStatistics:
    """Frames of phones 1 to 6 whose place depends on state and on what stands beside them."""
    generator = np.random.default_rng(seed)
    phone = generator.integers(1, 7, frames)
    left, right = generator.integers(1, NUM_PHONES + 1, (2, frames))
    state = generator.integers(0, 3, frames)
    after_onset = (left > 1) & (left < 20) & (phone > 2)
    mean = np.stack([phone + 2.0 * state, 3.0 * after_onset, 0.1 * right], axis=1)
    features = (mean + generator.standard_normal((frames, DIM))).astype(np.float32)
    speech = phone != 1
    contexts = np.stack([left * speech, phone, right * speech, state], axis=1)
    return TreeStatistics.of_frames(contexts, features)


def kaldi_likelihood(khg, moments: np.ndarray) -> float:
    stats = khg.GaussClusterable(moments[1 : 1 + DIM], moments[1 + DIM :], 0.01, moments[0])
    return float(stats.objf())


def test_the_criterion_is_kaldis():
    khg = pytest.importorskip("kaldi_hmm_gmm")
    moments = made_up().moments
    for rows in (slice(0, 1), slice(3, 40), slice(None)):
        whole = moments[rows].sum(axis=0)
        assert log_likelihood(whole) == pytest.approx(kaldi_likelihood(khg, whole), rel=1e-5)
    assert log_likelihood(np.zeros(1 + 2 * DIM)) == 0.0


def test_the_best_split_is_the_best_by_kaldis_criterion():
    khg = pytest.importorskip("kaldi_hmm_gmm")
    stats = made_up()
    questions = questions_of(CLASSICAL, TreeConfig())
    columns = {"state": stats.pdf_class, "left": stats.left, "right": stats.right}
    for phone in (2, 5):
        rows = np.flatnonzero(stats.phone == phone)
        found = best_split(stats, rows, questions)
        whole = kaldi_likelihood(khg, stats.moments[rows].sum(axis=0))
        gains = []
        for question in questions:
            answer = question.members[columns[question.about][rows]]
            parts = [stats.moments[rows[half]].sum(axis=0) for half in (answer, ~answer)]
            gains.append(sum(kaldi_likelihood(khg, part) for part in parts) - whole)
        assert found.gain == pytest.approx(max(gains), rel=1e-4)
        assert found.question == questions[int(np.argmax(gains))]


def test_trees_ask_what_matters_and_leave_no_gaps():
    stats = made_up()
    tree = grow(stats, CLASSICAL, TreeConfig(leaves=120, min_gain=50.0))
    table = tree.table
    assert table.num_pdfs == len(tree.moments) <= 120
    assert tree.splits > 0 and tree.gain > 0
    for phone in range(1, NUM_PHONES + 1):
        assert table.pdf[1:, phone, 1:, : CLASSICAL.states(phone)].min() >= 0
    # whether an onset is to the left matters to phones above 2 alone
    assert len(np.unique(table.pdf[1:, 2, 10, 0])) == 1
    lefts = table.pdf[:, 4, 10, 0, 0]
    assert set(lefts[2:20]).isdisjoint(lefts[20:])
    # silence has a pdf a state, whatever stands beside it
    assert table.pdf[5, 1, 7, :, 0].tolist() == [0, 1, 2, 3, 4]


def test_leaves_of_one_pdf_hold_its_frames():
    stats = made_up()
    tree = grow(stats, CLASSICAL, TreeConfig(leaves=90, min_gain=50.0))
    pdf = tree.table.pdf[
        np.where(stats.left == 0, 1, stats.left), stats.phone,
        np.where(stats.right == 0, 1, stats.right), stats.pdf_class, 0,
    ]  # fmt: skip
    summed = np.zeros_like(tree.moments)
    np.add.at(summed, pdf, stats.moments)
    np.testing.assert_allclose(summed, tree.moments, rtol=1e-9, atol=1e-6)


def test_leaves_are_joined_where_that_costs_little():
    stats = made_up()
    plain = grow(stats, CLASSICAL, TreeConfig(leaves=100, min_gain=20.0, join_below=0.0))
    joined = grow(stats, CLASSICAL, TreeConfig(leaves=100, min_gain=20.0, join_below=40.0))
    joins = plain.table.num_pdfs - joined.table.num_pdfs
    assert joins > 0
    lost = log_likelihood(plain.moments).sum() - log_likelihood(joined.moments).sum()
    assert 0 <= lost < joins * 40.0


def test_chain_trees_tell_first_frames_from_further_ones():
    stats = made_up()
    both = TreeStatistics(stats.left, stats.phone, stats.right, stats.pdf_class % 2, stats.moments)
    tree = grow(both, CHAIN, TreeConfig(leaves=80, min_gain=20.0, right=False))
    assert not tree.table.right
    assert tree.table.pdf.shape[3:] == (1, 2)
    assert np.all(tree.table.pdf[:, 4, 3] == tree.table.pdf[:, 4, 9])
    assert tree.table.pdf[4, 4, 3, 0, 0] != tree.table.pdf[4, 4, 3, 0, 1]


def test_questions_are_about_phones_and_differ():
    asked = phone_questions()
    assert {name for group in JAMO_CLASSES.values() for name in group} <= set(PHONES)
    for (_, one), (_, other) in itertools.combinations(asked.items(), 2):
        assert not np.array_equal(one, other)
    assert sum(f"is {phone}" in asked for phone in (*PHONES, "SIL")) == NUM_PHONES
