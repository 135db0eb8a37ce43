"""Static graphs and the search on them; the oracles are Kaldi's decoders and OpenFst.

Kaldi runs in a process of its own, the worker of tools/bench.
"""

from __future__ import annotations

import importlib.util
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from static_cases import NUM_PDFS, random_graph, random_scores, tiny_hcl, tiny_model

from asr import Model
from asr.data import load_split
from asr.decoder.config import DecoderConfig
from asr.decoder.static_search import StaticDecoder
from asr.graph.hcl import HclGraph
from asr.graph.static_compile import compile_static
from asr.graph.static_graph import StaticGraph
from asr.kaldi.fst import read_fst
from asr.kaldi.fst_writer import static_fst, write_fst, write_symbols
from asr.lm.arpa import write_arpa
from asr.lm.automaton import build_automaton

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / ".." / "shared" / "speech"
PEERS = ("kaldi_hmm_gmm", "kaldi_decoder", "kaldilm", "kaldifst")
WIDE = DecoderConfig(
    beam=200.0, max_active=100_000, lattice_beam=20.0, lm_scale=1.0, unit_bonus=0, space_bonus=0
)

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PEERS),
    reason=f"needs {', '.join(PEERS)}",
)


@pytest.fixture(autouse=True)
def bench_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "bench"))


def kaldi(path: Path, graphs: dict[str, StaticGraph], scores: dict[str, np.ndarray], **request):
    """What the worker answers, by graph and utterance."""
    np.savez(path / "scores.npz", **scores)
    for name, graph in graphs.items():
        write_fst(path / f"{name}.fst", static_fst(graph), "vector")
    return {name: ask(path / f"{name}.fst", path / "scores.npz", **request) for name in graphs}


def ask(fst: Path, scores: Path, **request):
    from worker_process import WorkerProcess

    with WorkerProcess("kaldi_worker.py", str(fst), str(scores)) as worker, np.load(scores) as all_:
        return {name: worker.ask(utterance=name, **request) for name in all_.files}


def best(graph: StaticGraph, scores: np.ndarray, config: DecoderConfig):
    search = StaticDecoder(graph).search(config)
    search.advance(scores)
    return search.best_path(), search.lattice()


def limits(config: DecoderConfig) -> dict[str, float]:
    return {"beam": config.beam, "lattice_beam": config.lattice_beam}


def test_best_paths_on_random_graphs(tmp_path: Path) -> None:
    graphs = {str(seed): random_graph(seed, 12, 9) for seed in range(5)}
    scores = {str(seed): random_scores(seed, 12, 12) for seed in range(5)}
    answers = kaldi(
        tmp_path, graphs, scores, do="decode", max_active=WIDE.max_active, **limits(WIDE)
    )
    for name, graph in graphs.items():
        for utterance, answer in answers[name].items():
            path, _ = best(graph, scores[utterance], WIDE)
            assert path.complete == answer["complete"]
            if path.complete:
                assert path.score == pytest.approx(answer["score"], rel=1e-5, abs=1e-3)
                assert [unit.id for unit in path.units] == answer["units"]


def test_nbest_on_random_graphs(tmp_path: Path) -> None:
    config = DecoderConfig(beam=200.0, max_active=100_000, lattice_beam=6.0)
    graphs = {str(seed): random_graph(seed, 12, 9) for seed in range(3)}
    scores = {str(seed): random_scores(40 + seed, 8, 12) for seed in range(4)}
    answers = kaldi(tmp_path, graphs, scores, do="nbest", count=10, **limits(config))
    compared = 0
    for name, graph in graphs.items():
        for utterance, answer in answers[name].items():
            path, lattice = best(graph, scores[utterance], config)
            if path.complete:
                compared += same_texts(lattice.nbest(10), answer["texts"], config.lattice_beam)
    assert compared > 30


def same_texts(ours, theirs, lattice_beam: float) -> int:
    """Compare N-best lists as far as both lattices must reach; how many texts that are."""
    edge = theirs[0][0] - lattice_beam + 0.01
    expected = [score for score, _ in theirs if score > edge]
    found = [hypothesis.score for hypothesis in ours if hypothesis.score > edge]
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    by_text = {tuple(units): score for score, units in theirs}
    for hypothesis in ours[: len(expected) - 1]:  # the last may be one of several alike
        text = tuple(unit.id for unit in hypothesis.units)
        assert by_text[text] == pytest.approx(hypothesis.score, rel=1e-3, abs=1e-3)
    return len(expected)


@pytest.mark.parametrize("seed", range(3))
def test_composition_is_that_of_openfst(seed: int, tmp_path: Path) -> None:
    """HCL as a transducer, composed by OpenFst with G as Kaldi's arpa2fst makes it."""
    model = tiny_model(seed, -0.5, 3)
    lm = build_automaton(model)
    hcl = tiny_hcl(lm)
    scores = {str(i): random_scores(10 * seed + i, 25, NUM_PDFS) for i in range(4)}
    np.savez(tmp_path / "scores.npz", **scores)
    composed_by_openfst(hcl, model, tmp_path)
    answers = ask(
        tmp_path / "HCLG.fst", tmp_path / "scores.npz",
        do="decode", max_active=WIDE.max_active, **limits(WIDE),
    )  # fmt: skip
    graph = compile_static(hcl, lm, WIDE)
    for utterance, answer in answers.items():
        path, _ = best(graph, scores[utterance], WIDE)
        assert path.complete and answer["complete"]
        assert path.score == pytest.approx(answer["score"], rel=1e-4)
        assert [unit.id for unit in path.units] == answer["units"]


def composed_by_openfst(hcl: HclGraph, model, folder: Path) -> None:
    """Write HCLG.fst."""
    import kaldifst
    import kaldilm

    units = model.vocabulary.units
    plain = StaticGraph(
        forward=hcl.forward, loop=hcl.loop, loop_cost=hcl.loop_cost, arc_begin=hcl.arc_begin,
        arc_target=hcl.arc_target, arc_cost=hcl.arc_cost, arc_unit=hcl.arc_unit,
        final_cost=np.where(hcl.final > 0, 0.0, np.inf).astype(np.float32),
        start=int(hcl.start[0]), units=units,
    )  # fmt: skip
    write_fst(folder / "HCL.fst", static_fst(plain), "vector")
    write_symbols(folder / "words.txt", (*units, "#0"))
    text = io.StringIO()
    write_arpa(model, text)
    (folder / "lm.arpa").write_text(text.getvalue(), encoding="utf-8")
    kaldilm.arpa2fst(
        str(folder / "lm.arpa"),
        str(folder / "G.fst"),
        disambig_symbol="#0",
        read_symbol_table=str(folder / "words.txt"),
        max_arpa_warnings=0,
    )
    grammar = read_fst(folder / "G.fst")
    epsilon = {len(units) + 1: 0}  # back-off arcs are silent, as in HCLG
    labels = np.array([epsilon.get(label, label) for label in grammar.ilabel.tolist()], np.int32)
    write_fst(folder / "G.fst", replace(grammar, ilabel=labels, olabel=labels), "vector")
    grammar = kaldifst.StdVectorFst.read(str(folder / "G.fst"))
    kaldifst.arcsort(grammar, "ilabel")
    lexicon = kaldifst.StdVectorFst.read(str(folder / "HCL.fst"))
    kaldifst.compose(lexicon, grammar).write(str(folder / "HCLG.fst"))


@pytest.mark.skipif(not SPEECH.exists(), reason="needs ../shared/speech")
def test_real_utterances(model: Model, tmp_path: Path) -> None:
    """The default model's scores and graph, with a small model of the training transcripts."""
    from asr.hangul.normalize import spoken_sentences
    from asr.lm.counts import Corpus
    from asr.lm.train import TrainConfig, train
    from asr.lm.units import encode_lines

    vocabulary = model.decoder.lm.vocabulary
    texts = [utterance.transcript for utterance in load_split(SPEECH, "emotiontts", "train")]
    lines = [sentence for text in texts for sentence in spoken_sentences(text)]
    small = train([Corpus(encode_lines(lines, vocabulary))], vocabulary, TrainConfig(order=3))
    config = DecoderConfig(beam=14.0, max_active=100_000, lattice_beam=3.0)
    graph = compile_static(model.decoder.hcl, build_automaton(small), config)
    scores = {
        utterance.id: model.scorer.scores(samples(utterance.audio))
        for utterance in load_split(SPEECH, "emotiontts", "dev")[:60:20]
    }
    answers = kaldi(
        tmp_path, {"HCLG": graph}, scores, do="decode", max_active=100_000, **limits(config)
    )
    texts = ask(
        tmp_path / "HCLG.fst", tmp_path / "scores.npz", do="nbest", count=10, **limits(config)
    )
    for name, answer in answers["HCLG"].items():
        path, lattice = best(graph, scores[name], config)
        assert path.complete and answer["complete"]
        assert path.score == pytest.approx(answer["score"], rel=1e-5)
        assert [unit.id for unit in path.units] == answer["units"]
        assert same_texts(lattice.nbest(10), texts[name]["texts"], config.lattice_beam) >= 1


def samples(audio: Path) -> np.ndarray:
    from asr.audio import iter_blocks

    return np.concatenate(list(iter_blocks(audio, 16_000)))
