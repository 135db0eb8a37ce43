"""OpenFst files; the oracle is OpenFst itself (the kaldifst wheel)."""

import struct
from pathlib import Path

import kaldifst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from korean_model_data import vosk_dir

from asr.errors import ModelError
from asr.kaldi.fst import Fst, read_fst, read_symbol_tables

FEW = settings(max_examples=30, deadline=None, derandomize=True)


def random_fst(seed: int, states: int, arcs: int) -> kaldifst.StdVectorFst:
    rng = np.random.default_rng(seed)
    fst = kaldifst.StdVectorFst()
    for _ in range(states):
        fst.add_state()
    fst.start = int(rng.integers(states))
    for state in rng.permutation(states)[: states // 2]:
        fst.set_final(state=int(state), weight=float(np.float32(rng.normal())))
    for _ in range(arcs):
        source, target, ilabel, olabel = (int(x) for x in rng.integers((states, states, 9, 9)))
        arc = kaldifst.StdArc(ilabel, olabel, float(np.float32(rng.normal())), target)
        fst.add_arc(source, arc)
    return fst


def assert_same(read: Fst, oracle: kaldifst.StdVectorFst) -> None:
    assert (read.num_states, read.start) == (oracle.num_states, oracle.start)
    for state in range(oracle.num_states):
        assert read.final[state] == pytest.approx(oracle.final(state).value, nan_ok=True)
        begin, end = read.arc_begin[state : state + 2]
        found = [
            (read.ilabel[a], read.olabel[a], read.weight[a], read.nextstate[a])
            for a in range(begin, end)
        ]
        arcs = kaldifst.ArcIterator(oracle, state)
        assert found == [
            (a.ilabel, a.olabel, np.float32(a.weight.value), a.nextstate) for a in arcs
        ]
    assert (read.arc_state == np.repeat(np.arange(read.num_states), np.diff(read.arc_begin))).all()


@FEW
@given(seed=st.integers(0, 10**6), states=st.integers(1, 30), arcs=st.integers(0, 90))
def test_vector_files(
    tmp_path_factory: pytest.TempPathFactory, seed: int, states: int, arcs: int
) -> None:
    path = tmp_path_factory.mktemp("fst") / "a.fst"
    oracle = random_fst(seed, states, arcs)
    oracle.write(str(path))
    assert_same(read_fst(path), oracle)


@FEW
@given(seed=st.integers(0, 10**6), states=st.integers(1, 30), arcs=st.integers(0, 90))
def test_const_files_alone_and_behind_an_add_on(
    tmp_path_factory: pytest.TempPathFactory, seed: int, states: int, arcs: int
) -> None:
    path = tmp_path_factory.mktemp("fst") / "a.fst"
    oracle = random_fst(seed, states, arcs)
    kaldifst.StdConstFst(oracle).write(str(path))
    assert_same(read_fst(path), oracle)
    path.write_bytes(add_on(path.read_bytes()))
    assert_same(read_fst(path), oracle)


def text(value: str) -> bytes:
    return struct.pack("<i", len(value)) + value.encode()


def header(fst_type: str, arc_type: str = "standard") -> bytes:
    numbers = struct.pack("<iiQqqq", 1, 0, 0, 0, -1, 0)
    return struct.pack("<i", 2125659606) + text(fst_type) + text(arc_type) + numbers


def add_on(inner: bytes) -> bytes:
    """As OpenFst's add-on.h wraps an FST whose look-ahead data follow it."""
    return header("olabel_lookahead") + struct.pack("<i", 446681434) + inner + b"\1look-ahead data"


def test_symbols_are_read(tmp_path: Path) -> None:
    oracle = random_fst(1, 4, 6)
    table = kaldifst.SymbolTable()
    for label, symbol in enumerate(["<eps>", "값", "이"]):
        table.add_symbol(symbol, label)
    oracle.output_symbols = table
    oracle.write(str(tmp_path / "a.fst"))
    read = read_fst(tmp_path / "a.fst")
    assert read.output_symbols == {0: "<eps>", 1: "값", 2: "이"}
    assert read.input_symbols is None
    assert read_symbol_tables(tmp_path / "a.fst") == (None, read.output_symbols)
    assert_same(read, oracle)


def test_other_types_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.fst"
    path.write_bytes(header("ngram") + bytes(100))
    with pytest.raises(ModelError, match=r"of type 'ngram'.*fstconvert"):
        read_fst(path)
    path.write_bytes(header("const", "log64") + bytes(100))
    with pytest.raises(ModelError, match="arcs of type 'log64'"):
        read_fst(path)


def test_the_words_of_the_korean_grammar() -> None:
    _, words = read_symbol_tables(vosk_dir() / "graph" / "Gr.fst")
    assert words is not None and len(words) == 503351
    assert {"학교", "에서", "했습니다"} <= set(words.values())
    with pytest.raises(ModelError, match="'ngram'"):
        read_fst(vosk_dir() / "graph" / "Gr.fst")


@pytest.mark.parametrize("content", [b"", b"\0", b"not a transducer at all", bytes(200)])
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.fst").write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.fst"):
        read_fst(tmp_path / "a.fst")
    with pytest.raises(ModelError, match="cannot be read"):
        read_fst(tmp_path / "absent.fst")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["vector", "const", "add-on"]),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(-1, 255),
)
def test_damaged_files_give_a_transducer_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, place: float, value: int
) -> None:
    path = tmp_path_factory.mktemp("fst") / "a.fst"
    oracle = random_fst(3, 12, 40)
    (oracle if kind == "vector" else kaldifst.StdConstFst(oracle)).write(str(path))
    data = bytearray(path.read_bytes())
    at = int(place * len(data))
    if value < 0:
        del data[at:]
    else:
        data[at] = value
    path.write_bytes(add_on(bytes(data)) if kind == "add-on" and value >= 0 else bytes(data))
    try:
        read = read_fst(path)
    except ModelError:
        return
    assert value >= 0, "a cut file was accepted"
    assert read.arc_begin[-1] == read.num_arcs
    assert read.num_arcs == 0 or read.nextstate.max() < read.num_states
