"""OpenFst files that we write; the oracle is OpenFst itself (the kaldifst wheel)."""

from __future__ import annotations

from pathlib import Path

import kaldifst
import numpy as np
import pytest

from asr.graph.static_graph import StaticGraph
from asr.kaldi.fst import Fst, read_fst
from asr.kaldi.fst_writer import static_fst, write_fst, write_symbols


def random_fst(seed: int, states: int, arcs: int) -> Fst:
    rng = np.random.default_rng(seed)
    final = np.where(rng.random(states) < 0.4, rng.normal(0, 1, states), np.inf)
    source = np.sort(rng.integers(0, states, arcs))
    return Fst(
        start=int(rng.integers(states)),
        final=final.astype(np.float32),
        arc_begin=np.searchsorted(source, np.arange(states + 1)).astype(np.int64),
        ilabel=rng.integers(0, 4, arcs).astype(np.int32),
        olabel=rng.integers(0, 4, arcs).astype(np.int32),
        weight=rng.normal(0, 1, arcs).astype(np.float32),
        nextstate=rng.integers(0, states, arcs).astype(np.int32),
        input_symbols=None,
        output_symbols=None,
    )


def in_openfst(fst: Fst) -> kaldifst.StdVectorFst:
    """The same transducer, built arc by arc."""
    built = kaldifst.StdVectorFst()
    for _ in range(fst.num_states):
        built.add_state()
    built.start = fst.start
    for state, cost in enumerate(fst.final.tolist()):
        if np.isfinite(cost):
            built.set_final(state, cost)
    for arc, source in enumerate(fst.arc_state.tolist()):
        built.add_arc(
            source,
            kaldifst.StdArc(
                int(fst.ilabel[arc]),
                int(fst.olabel[arc]),
                float(fst.weight[arc]),
                int(fst.nextstate[arc]),
            ),
        )
    return built


@pytest.mark.parametrize("seed", range(8))
def test_openfst_reads_vector_files(seed: int, tmp_path: Path) -> None:
    fst = random_fst(seed, 1 + 5 * seed, 15 * seed)
    write_fst(tmp_path / "a.fst", fst, "vector")
    read = kaldifst.StdVectorFst.read(str(tmp_path / "a.fst"))
    oracle = in_openfst(fst)
    assert read.to_str(show_weight_one=True) == oracle.to_str(show_weight_one=True)
    assert (read.start, read.num_states) == (oracle.start, oracle.num_states)


@pytest.mark.parametrize("seed", range(8))
def test_const_files_are_those_of_openfst(seed: int, tmp_path: Path) -> None:
    """All bytes but the properties, of which OpenFst writes down more than it needs."""
    fst = random_fst(seed, 1 + 5 * seed, 15 * seed)
    write_fst(tmp_path / "ours.fst", fst, "const")
    kaldifst.StdConstFst(in_openfst(fst)).write(str(tmp_path / "theirs.fst"))
    ours, theirs = (tmp_path / name for name in ("ours.fst", "theirs.fst"))
    properties = slice(4 + 4 + len("const") + 4 + len("standard") + 8, None)
    after = properties.start + 8
    mine, yours = ours.read_bytes(), theirs.read_bytes()
    assert mine[: properties.start] == yours[: properties.start]
    assert mine[after:] == yours[after:]


@pytest.mark.parametrize("kind", ["vector", "const"])
def test_our_reader_reads_them(kind: str, tmp_path: Path) -> None:
    fst = random_fst(3, 40, 200)
    write_fst(tmp_path / "a.fst", fst, kind)
    read = read_fst(tmp_path / "a.fst")
    for name in ("start", "final", "arc_begin", "ilabel", "olabel", "weight", "nextstate"):
        assert np.array_equal(getattr(read, name), getattr(fst, name)), name


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.fst").mkdir()
    with pytest.raises(OSError):
        write_fst(tmp_path / "a.fst", random_fst(1, 3, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.fst"]


def test_a_static_graph_has_its_loops_and_labels(tmp_path: Path) -> None:
    """Two emitting states and one that is not: 0 ─▁가─► 2 ─► 1, loops at 0 and 1."""
    graph = StaticGraph(
        forward=np.array([3, 5], np.int32),
        loop=np.array([4, 6], np.int32),
        loop_cost=np.array([0.25, 0.5], np.float32),
        arc_begin=np.array([0, 1, 1, 2], np.int64),
        arc_target=np.array([2, 1], np.int32),
        arc_cost=np.array([1.5, 2.0], np.float32),
        arc_unit=np.array([0, -1], np.int32),
        final_cost=np.array([np.inf, 0.75, np.inf], np.float32),
        start=0,
        units=("▁가", "나"),
    )
    write_fst(tmp_path / "HCLG.fst", static_fst(graph), "vector")
    read = kaldifst.StdVectorFst.read(str(tmp_path / "HCLG.fst"))
    lines = [line.split() for line in read.to_str().splitlines()]
    assert lines == [
        ["0", "0", "5", "0", "0.25"],
        ["0", "2", "0", "1", "1.5"],
        ["1", "1", "7", "0", "0.5"],
        ["1", "0.75"],
        ["2", "1", "6", "0", "2"],
    ]


def test_words_are_those_of_openfst(tmp_path: Path) -> None:
    write_symbols(tmp_path / "words.txt", ("<s>", "▁가", "나"))
    table = kaldifst.SymbolTable.read_text(str(tmp_path / "words.txt"))
    assert [table.find(number) for number in range(4)] == ["<eps>", "<s>", "▁가", "나"]
