"""Topologies and transition probabilities, equal to Kaldi's."""

import numpy as np
import pytest
from kaldi_hmm import monophone_transitions

from asr.errors import UsageError
from asr.graph.phone_models import decoding_models, training_models
from asr.hmm.pdf_table import PdfTable, monophones
from asr.hmm.phones import Position
from asr.hmm.topology import CHAIN, CLASSICAL, NUM_PHONES, Topology
from asr.hmm.transition import TransitionModel
from asr.hmm.transition_training import trained, transition_costs, transition_counts


@pytest.fixture(scope="module")
def kaldi_model():
    khg = pytest.importorskip("kaldi_hmm_gmm")
    return khg, monophone_transitions(khg)


def test_monophones_are_numbered_as_in_kaldi(kaldi_model):
    _, theirs = kaldi_model
    ours = monophones(CLASSICAL).new_transitions()
    assert ours.num_pdfs == theirs.num_pdfs == 5 + 46 * 3
    assert ours.num_transitions == theirs.num_transition_ids
    ids = range(1, ours.num_transitions + 1)
    assert ours.transition_pdf[1:].tolist() == [theirs.transition_id_to_pdf(i) for i in ids]
    assert ours.transition_phone[1:].tolist() == [theirs.transition_id_to_phone(i) for i in ids]
    assert ours.transition_self_loop[1:].tolist() == [theirs.is_self_loop(i) for i in ids]
    np.testing.assert_allclose(ours.transition_log_prob[1:], theirs.log_probs[1:], atol=1e-6)


def test_trained_probabilities_equal_kaldis(kaldi_model):
    khg, theirs = kaldi_model
    ours = monophones(CLASSICAL).new_transitions()
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 400, (ours.num_tuples, 2)).astype(float)
    counts[3] = 1.0, 1.0  # too few: they stay
    counts[5] = 0.0, 900.0  # floored
    counts[6] = 1e5, 3.0
    flat = np.concatenate([[0.0], counts.ravel()])
    theirs.mle_update(flat, khg.MleTransitionUpdateConfig())
    np.testing.assert_allclose(
        trained(ours, counts).transition_log_prob[1:], theirs.log_probs[1:], atol=1e-5
    )


def test_counts_of_a_path():
    model = monophones(CLASSICAL).new_transitions()
    tuples = np.array([0, 0, 0, 1, 2, 2])
    entered = np.array([True, False, False, True, True, False])
    counts = transition_counts(tuples, entered, model)
    assert counts[:4].tolist() == [[2, 1], [0, 1], [1, 1], [0, 0]]
    stay, leave = transition_costs(model, 0.1)
    assert stay[0] == pytest.approx(-0.1 * np.log(0.75))
    assert leave[0] == pytest.approx(-0.1 * np.log(0.25))


def test_chain_phones_have_one_state_and_two_pdfs():
    table = monophones(CHAIN)
    model = table.new_transitions()
    assert table.num_pdfs == 2 * NUM_PHONES and model.num_tuples == NUM_PHONES
    states = decoding_models(table, model, 1.0).states(
        ("SIL", Position.NONE), ("a", Position.NONE), None
    )
    assert len(states) == 1 and states[0].forward != states[0].loop
    assert states[0].loop_cost == pytest.approx(np.log(2.0), abs=1e-5)


def test_training_models_name_tuples():
    table = monophones(CLASSICAL)
    model = table.new_transitions()
    states = training_models(table, model).states(("a", Position.NONE), ("g", Position.NONE), None)
    assert [state.forward for state in states] == [5, 6, 7]
    assert model.tuple_state[5:8].tolist() == [0, 1, 2]


def test_tables_survive_the_disk_and_refuse_gaps():
    table = monophones(CLASSICAL)
    again = PdfTable.from_tensors(table.to_tensors())
    assert np.array_equal(again.pdf, table.pdf) and again.topology == CLASSICAL
    model = TransitionModel.from_tensors(table.new_transitions().to_tensors())
    assert np.array_equal(again.tuple_table(model), table.tuple_table(model))
    holed = {**table.to_tensors(), "pdf": np.where(table.pdf == 9, -1, table.pdf)}
    with pytest.raises(Exception, match="gaps"):
        PdfTable.from_tensors(holed)


def test_topologies_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="1 to 5"):
        Topology(speech_states=0)
