"""Transition models; what the ids mean is checked against Kaldi's C++ (kaldi-hmm-gmm 1.1.4)."""

import kaldi_writer as kw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from korean_model_data import vosk_dir

from asr.errors import ModelError
from asr.hmm.transition import TransitionModel
from asr.kaldi.io import BinaryReader
from asr.kaldi.transition_model import parse_transition_model, read_transition_model

# Kaldi's TransitionModel of a monophone tree over these topologies said the following.
CHAIN = kw.chain_model([(1, 0, 0, 1), (2, 0, 2, 3), (3, 0, 4, 5), (4, 0, 6, 7)])
CHAIN_PDF = [1, 0, 3, 2, 5, 4, 7, 6]

_SILENCE = [
    (0, 0, [(0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25)]),
    *[(k, k, [(1, 0.25), (2, 0.25), (3, 0.25), (4, 0.25)]) for k in (1, 2, 3)],
    (4, 4, [(4, 0.75), (5, 0.25)]),
    (-1, -1, []),
]
_THREE = [*[(k, k, [(k, 0.75), (k + 1, 0.25)]) for k in range(3)], (-1, -1, [])]
HMM_TUPLES = [(1, s, s) for s in range(5)]
HMM_TUPLES += [(p, s, 5 + 3 * (p - 2) + s) for p in (2, 3, 4) for s in range(3)]
_LOG = np.log([0.25] * 16 + [0.75, 0.25] * 10)
HMM = kw.transition_model([([2, 3, 4], _THREE), ([1], _SILENCE)], HMM_TUPLES, [0.0, *_LOG])
HMM_PDF = [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [p for p in range(4, 14) for _ in range(2)]
HMM_PHONE = [1] * 18 + [2] * 6 + [3] * 6 + [4] * 6
HMM_LOOPS = [0, 4, 9, 14, *range(16, 36, 2)]


def parse(data: bytes) -> TransitionModel:
    return parse_transition_model(BinaryReader(data, "final.mdl"))


def test_chain_form_as_kaldi_numbers_it() -> None:
    model = parse(CHAIN)
    assert (model.num_tuples, model.num_transitions, model.num_pdfs) == (4, 8, 8)
    assert model.transition_pdf.tolist() == [-1, *CHAIN_PDF]
    assert model.transition_phone.tolist() == [-1, 1, 1, 2, 2, 3, 3, 4, 4]
    assert model.transition_self_loop.tolist() == [False, *[True, False] * 4]
    assert model.transition_target.tolist() == [-1, *[0, 1] * 4]


def test_hmm_form_as_kaldi_numbers_it() -> None:
    model = parse(HMM)
    assert model.num_pdfs == 14
    assert model.transition_pdf.tolist() == [-1, *HMM_PDF]
    assert model.transition_phone.tolist() == [-1, *HMM_PHONE]
    assert np.flatnonzero(model.transition_self_loop[1:]).tolist() == HMM_LOOPS
    assert model.phones.tolist() == [1, 2, 3, 4]


def test_tensors_round_trip_and_are_checked() -> None:
    model = parse(CHAIN)
    tensors = model.to_tensors()
    again = TransitionModel.from_tensors(tensors)
    np.testing.assert_array_equal(again.transition_pdf, model.transition_pdf)
    with pytest.raises(ModelError, match="lacks tuple_phone"):
        TransitionModel.from_tensors({k: v for k, v in tensors.items() if k != "tuple_phone"})
    with pytest.raises(ModelError, match="do not fit"):
        TransitionModel.from_tensors({**tensors, "num_pdfs": np.array([3])})


def test_the_korean_model() -> None:
    model = read_transition_model(vosk_dir() / "am" / "final.mdl")
    assert (model.num_tuples, model.num_transitions, model.num_pdfs) == (5943, 11886, 2616)
    assert model.phones.tolist() == list(range(1, 195))
    assert model.transition_self_loop[1::2].all()
    assert not model.transition_self_loop[::2].any()
    np.testing.assert_allclose(np.exp(model.transition_log_prob[1:]), 0.5, rtol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cut=st.integers(0, len(HMM) - 1), chain=st.booleans())
def test_cut_files_raise_model_errors(cut: int, chain: bool) -> None:
    data = CHAIN if chain else HMM
    with pytest.raises(ModelError):
        parse(data[: min(cut, len(data) - 1)])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(place=st.integers(0, len(HMM) - 1), value=st.integers(0, 255), chain=st.booleans())
def test_altered_bytes_give_a_model_or_a_model_error(place: int, value: int, chain: bool) -> None:
    data = bytearray(CHAIN if chain else HMM)
    data[place % len(data)] = value
    try:
        model = parse(bytes(data))
    except ModelError:
        return
    assert model.transition_pdf[1:].min() >= 0
