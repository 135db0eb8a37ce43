"""Recognising sounds in batches gives what the static search gives for each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asr.acoustic.batch_scorer import BatchScorer
from asr.audio import iter_blocks
from asr.batch_recognizer import BatchConfig, BatchRecognizer
from asr.data_files import shipped
from asr.decoder.confidence import eojeols_of
from asr.decoder.config import DecoderConfig
from asr.decoder.static_search import StaticDecoder
from asr.errors import AudioError, ModelError, UsageError
from asr.graph.static_compile import compile_static
from asr.graph.static_graph import StaticGraph
from asr.lm.automaton import LmAutomaton, build_automaton
from asr.lm.ngram import NgramModel, NgramOrder
from asr.recognizer import Model
from asr.result import Result
from asr.segmenting import SegmentCutter

SEARCH = DecoderConfig(beam=9.0, max_active=1000, lattice_beam=0.0)
BATCHES = BatchConfig(segments=4, seconds=20.0)


def unigrams(lm: LmAutomaton) -> LmAutomaton:
    """The same model, of single units."""
    size = len(lm.vocabulary)
    order = NgramOrder(
        np.zeros(size, np.int32),
        np.arange(size, dtype=np.uint16),
        (lm.arc_logp[:size] / np.log(10)).astype(np.float32),
        np.zeros(size, np.float32),
    )
    return build_automaton(NgramModel(lm.vocabulary, (order,)))


@pytest.fixture(scope="module")
def graph(model: Model) -> StaticGraph:
    return compile_static(model.decoder.hcl, unigrams(model.decoder.lm), SEARCH)


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    """Samples, silence, nothing, and a recording that is cut into segments."""
    paths = sorted(shipped("samples").glob("*.flac"))[:3]
    speech = [np.concatenate(list(iter_blocks(path, 16_000))) for path in paths]
    long = np.resize(np.concatenate(speech), 35 * 16_000)
    return [*speech, np.zeros(16_000, np.float32), np.zeros(0, np.float32), long]


@pytest.fixture(scope="module")
def results(model: Model, graph: StaticGraph, sounds: list[np.ndarray]) -> list[Result]:
    return BatchRecognizer(model, graph, SEARCH, BATCHES).transcribe(sounds)


def test_equals_the_static_search(
    model: Model, graph: StaticGraph, sounds: list[np.ndarray], results: list[Result]
) -> None:
    decoder = StaticDecoder(graph)
    for sound, result in zip(sounds[:-1], results[:-1], strict=True):
        search = decoder.search(SEARCH)
        search.advance(BatchScorer(model.scorer).scores([sound])[0][0].numpy())
        expected = eojeols_of(search.best_path().units) if sound.any() else []
        assert result.text == " ".join(
            "".join(unit.unit for unit in units).replace("▁", "") for units in expected
        )
        assert [word.start for word in result.words] == pytest.approx(
            [units[0].start * 0.03 for units in expected], abs=1e-3
        )
        assert bool(result.text) == bool(sound.any())
        assert result.duration == len(sound) / 16_000


def test_long_sound_is_cut_as_a_stream_cuts_it(
    sounds: list[np.ndarray], results: list[Result]
) -> None:
    cutter = SegmentCutter(16_000)
    cuts = [piece.start for piece in (*cutter.accept(sounds[-1]), *cutter.finish())]
    assert len(cuts) > 1
    segments = results[-1].segments
    assert len(segments) == len(cuts)
    for cut, segment, following in zip(cuts, segments, [*cuts[1:], 35.0], strict=True):
        assert cut <= segment.start < segment.end <= following


def test_refuses_what_is_no_sound(model: Model, graph: StaticGraph) -> None:
    recognizer = BatchRecognizer(model, graph, SEARCH)
    assert recognizer.transcribe([]) == []
    for wrong in (np.zeros((3, 2), np.float32), np.zeros(100)):
        with pytest.raises(UsageError, match="float32"):
            recognizer.transcribe([wrong])
    with pytest.raises(AudioError):
        recognizer.transcribe([np.full(1000, np.nan, np.float32)])
    with pytest.raises(UsageError):
        BatchConfig(segments=0)


def test_refuses_the_graph_of_another_model(model: Model, graph: StaticGraph) -> None:
    other = replace(graph, forward=graph.forward + 5000)
    with pytest.raises(ModelError, match="pdfs"):
        BatchRecognizer(model, other)
