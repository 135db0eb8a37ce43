"""Training from nothing on speech whose alignment is known; stopping and going on; failures."""

from dataclasses import replace

import made_up_speech
import numpy as np
import pytest

from asr.errors import DataError, ModelError
from asr.gmm import folder as folders
from asr.gmm.adapted import align_adapted, start_adapted, with_independent
from asr.gmm.alignment import Alignment, read_alignments, write_alignments
from asr.gmm.features import FrontEndConfig
from asr.gmm.lda import LdaConfig, lda_model
from asr.gmm.model import GmmModel
from asr.gmm.mono import flat_start
from asr.gmm.training import TrainingState, monophone_schedule, train, triphone_schedule
from asr.gmm.triphone import contexts, start
from asr.gmm.viterbi import AlignConfig, Aligner
from asr.hmm.tree import TreeConfig

FRONT_END = FrontEndConfig(deltas=1)
TREE = TreeConfig(leaves=160, min_gain=100.0)


def trained_mono(corpus) -> TrainingState:
    state = flat_start(corpus, FRONT_END)
    graphs = corpus.graphs(state.model.table, state.model.transitions)
    return train(state, corpus, graphs, monophone_schedule(8, 250))


@pytest.fixture(scope="module")
def speech():
    return made_up_speech.corpus()


@pytest.fixture(scope="module")
def mono(speech) -> TrainingState:
    return trained_mono(speech[0])


def boundaries_found(state: TrainingState, truth) -> float:
    """The share of phones that begin within two frames of where they were put."""
    hits = total = 0
    for name, phones in truth.items():
        segments = state.alignments[name].segments()
        assert [segment.name for segment in segments] == [phone for phone, _ in phones]
        for segment, (_, begin) in zip(segments, phones, strict=True):
            hits += abs(segment.begin - begin) <= 2
            total += 1
    return hits / total


def test_monophones_find_the_phones_from_a_flat_start(speech, mono):
    corpus, truth = speech
    flat = flat_start(corpus, FRONT_END)
    assert boundaries_found(flat, truth) < 0.5
    assert boundaries_found(mono, truth) > 0.9


def test_triphones_lda_and_adaptation_keep_the_phones(speech, mono):
    corpus, truth = speech
    model = lda_model(mono.model, corpus, mono.alignments, LdaConfig(splice=2, dim=20))
    state, tree = start(model, corpus, mono.alignments, TREE)
    assert state.model.kind == "lda" and state.model.num_pdfs == tree.table.num_pdfs
    graphs = corpus.graphs(state.model.table, state.model.transitions)
    state = train(state, corpus, graphs, triphone_schedule(4, 200, "mllt"))
    assert boundaries_found(state, truth) > 0.9
    state, _ = start_adapted(state.model, corpus, state.alignments, TREE)
    assert set(state.transforms) == {"s0", "s1", "s2"}
    graphs = corpus.graphs(state.model.table, state.model.transitions)
    state = train(state, corpus, graphs, triphone_schedule(4, 200, "fmllr"))
    state = with_independent(state, corpus)
    assert state.model.kind == "sat" and state.model.independent is not None
    assert boundaries_found(align_adapted(state.model, corpus), truth) > 0.9


def test_a_training_that_was_stopped_ends_as_one_that_was_not(speech, mono, tmp_path):
    corpus, _ = speech
    graphs = corpus.graphs(mono.model.table, mono.model.transitions)

    def stop_after_three(state: TrainingState) -> None:
        folders.write_state(tmp_path / "training", state)
        if state.iteration == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(flat_start(corpus, FRONT_END), corpus, graphs, monophone_schedule(8, 250),
              save=stop_after_three)  # fmt: skip
    state = folders.read_state(tmp_path / "training")
    assert state.iteration == 3
    state = train(state, corpus, graphs, monophone_schedule(8, 250))
    assert np.array_equal(state.model.gmms.mean, mono.model.gmms.mean)
    assert np.array_equal(
        state.model.transitions.transition_log_prob, mono.model.transitions.transition_log_prob
    )
    for name, alignment in mono.alignments.items():
        assert np.array_equal(state.alignments[name].tuple_id, alignment.tuple_id)


def test_utterances_that_cannot_be_aligned_are_counted_and_survived(speech, mono, caplog):
    corpus, _ = speech
    names = corpus.ids[:5]
    few = replace(corpus.cepstra, frames={n: corpus.cepstra.frames[n] for n in names})
    few.frames[names[0]] = few.frames[names[0]][:20]  # too short for its text
    texts = {**corpus.texts, names[1]: "!?"}  # nothing to say
    hurt = type(corpus)(few, texts)
    graphs = hurt.graphs(mono.model.table, mono.model.transitions)
    found = hurt.align(mono.model, graphs)
    assert list(found) == names[2:]
    assert set(hurt.failures) == set(names[:2])
    assert "takes" in hurt.failures[names[0]] and "read aloud" in hurt.failures[names[1]]
    assert "2 of 5 utterances not aligned" in caplog.text


def test_a_wider_beam_is_tried_where_the_first_loses_all(speech, mono):
    corpus, _ = speech
    graphs = corpus.graphs(mono.model.table, mono.model.transitions)
    name = corpus.ids[0]
    graph = graphs.graph(corpus.texts[name])
    # nothing but silence: the best path stays in the first pause until it is too late
    features = np.tile(corpus.features(name, mono.model)[5], (200, 1))
    model = mono.model.gmms, mono.model.transitions
    with pytest.raises(DataError, match="lost by the beam"):
        Aligner(*model, AlignConfig(beam=1.0, retry_beam=0.0)).align(graph, features)
    found = Aligner(*model, AlignConfig(beam=1.0, retry_beam=1e5)).align(graph, features)
    exact = Aligner(*model, AlignConfig(beam=1e6, retry_beam=0.0)).align(graph, features)
    assert np.array_equal(found.tuple_id, exact.tuple_id)


def test_contexts_are_the_neighbours(mono):
    alignment = next(iter(mono.alignments.values()))
    found = contexts(alignment, mono.model.table.topology)
    segments = alignment.segments()
    middle = segments[3]
    assert found[middle.begin].tolist() == [segments[2].phone, middle.phone, segments[4].phone, 0]
    assert found[0].tolist() == [0, 1, 0, 0]
    assert found[segments[1].begin].tolist() == [1, segments[1].phone, segments[2].phone, 0]


def test_alignments_survive_the_disk_and_refuse_damage(mono, tmp_path):
    path = tmp_path / "alignments.safetensors"
    write_alignments(path, mono.alignments)
    again = read_alignments(path)
    assert list(again) == list(mono.alignments)
    for name, alignment in again.items():
        for column in ("pdf", "tuple_id", "phone", "state", "entered"):
            expected = getattr(mono.alignments[name], column)
            assert np.array_equal(getattr(alignment, column), expected)
        assert alignment.score == pytest.approx(mono.alignments[name].score)
    write_alignments(path, {})
    assert read_alignments(path) == {}
    write_alignments(path, mono.alignments)
    content = bytearray(path.read_bytes())
    content[-40] ^= 1  # some pdf or score, in a file that is otherwise whole
    path.write_bytes(content)
    with pytest.raises(DataError, match="checksum differs"):
        read_alignments(path)
    path.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    with pytest.raises(DataError, match="no alignments"):
        read_alignments(path)
    with pytest.raises(DataError, match="does not exist"):
        read_alignments(tmp_path / "none")


def test_models_survive_the_disk_and_refuse_damage(mono, tmp_path, speech):
    corpus, _ = speech
    mono.model.save(tmp_path / "model")
    again = GmmModel.load(tmp_path / "model")
    name = corpus.ids[0]
    features = corpus.features(name, again)
    assert np.array_equal(again.loglikes(features), mono.model.loglikes(features))
    assert again.front_end == mono.model.front_end
    file = tmp_path / "model" / "gmm.safetensors"
    file.write_bytes(file.read_bytes()[:-8] + b"\x00" * 8)
    with pytest.raises(ModelError, match="damaged"):
        GmmModel.load(tmp_path / "model")


def test_likelihood_rises(mono, speech):
    corpus, _ = speech
    values: list[float] = []
    graphs = corpus.graphs(mono.model.table, mono.model.transitions)
    train(flat_start(corpus, FRONT_END), corpus, graphs, monophone_schedule(6, 200),
          save=lambda state: values.append(state.loglike))  # fmt: skip
    assert values[0] < values[2] < values[5]
    assert isinstance(next(iter(mono.alignments.values())), Alignment)
