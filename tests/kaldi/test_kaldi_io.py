"""Vectors, matrices and tokens in Kaldi's binary form; the oracle is kaldiio."""

import struct
from pathlib import Path

import kaldi_writer as kw
import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ModelError
from asr.kaldi.io import BinaryReader, read_matrix_file, unpack_symmetric

FEW = settings(max_examples=40, deadline=None, derandomize=True)


def reader(data: bytes) -> BinaryReader:
    return BinaryReader(data, "test.mat")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (40, 7), (9,)])
def test_plain_arrays_as_kaldiio_writes_them(
    tmp_path: Path, dtype: type, shape: tuple[int, ...]
) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(dtype)
    kaldiio.save_mat(str(tmp_path / "a"), array)
    opened = BinaryReader.open(tmp_path / "a")
    read = opened.read_vector() if len(shape) == 1 else opened.read_matrix()
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, array)
    assert opened.remaining == 0


@FEW
@given(
    rows=st.integers(1, 60),
    columns=st.integers(1, 20),
    method=st.integers(1, 7),
    scale=st.floats(0.01, 1e4),
)
def test_compressed_matrices_as_kaldiio_reads_them(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int, method: int, scale: float
) -> None:
    path = tmp_path_factory.mktemp("cm") / "a"
    rng = np.random.default_rng(rows * 100 + columns)
    array = (rng.normal(size=(rows, columns)) * scale).astype(np.float32)
    kaldiio.save_mat(str(path), array, compression_method=method)
    expected = kaldiio.load_mat(str(path))
    read = BinaryReader.open(path).read_matrix()
    np.testing.assert_allclose(read, expected, rtol=0, atol=1e-4 * np.abs(array).max())


def test_packed_matrices_hold_the_lower_half() -> None:
    values = np.arange(1, 7)
    packed = kw.token("FP") + kw.int32(3) + values.astype("<f4").tobytes()
    expected = [[1, 2, 4], [2, 3, 5], [4, 5, 6]]
    np.testing.assert_array_equal(reader(packed).read_symmetric(), expected)
    np.testing.assert_array_equal(unpack_symmetric(np.stack([values] * 2))[1], expected)


def test_basic_types() -> None:
    data = kw.int32(-7) + kw.uint32(7) + kw.real(0.5) + b"\x08" + struct.pack("<d", 0.25)
    data += kw.boolean(True) + kw.ints([3, 1]) + kw.token("<End>")
    r = reader(data)
    assert (r.read_int(), r.read_uint(), r.read_float(), r.read_float()) == (-7, 7, 0.5, 0.25)
    assert r.read_bool()
    assert r.read_int_vector().tolist() == [3, 1]
    assert r.peek_token() == "<End>"
    assert r.expect("<Begin>", "<End>") == "<End>"


def test_errors_name_file_byte_and_expectation() -> None:
    r = reader(kw.token("<A>") + kw.token("<B>"))
    r.expect("<A>")
    with pytest.raises(ModelError, match=r"test\.mat: byte 4: expected <C>, found"):
        r.expect("<C>")


def test_text_form_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "final.mdl").write_text("<TransitionModel> <Topology>")
    with pytest.raises(ModelError, match="--binary=true"):
        BinaryReader.open(tmp_path / "final.mdl")
    (tmp_path / "empty.mdl").write_bytes(b"")
    with pytest.raises(ModelError, match="is empty"):
        BinaryReader.open(tmp_path / "empty.mdl")
    with pytest.raises(ModelError, match="cannot be read"):
        BinaryReader.open(tmp_path / "absent.mdl")


def test_matrix_files_may_be_text(tmp_path: Path) -> None:
    path = tmp_path / "cmvn.stats"
    path.write_text(" [\n  1 2.5 -3e2\n  4 5 6 ]\n")
    np.testing.assert_array_equal(read_matrix_file(path), [[1, 2.5, -300], [4, 5, 6]])
    for damaged in ("[ 1 2\n 3 ]", "1 2 3", "[ 1 x ]", "[ ]", "[ 1 2"):
        path.write_text(damaged)
        with pytest.raises(ModelError, match="expected a matrix"):
            read_matrix_file(path)


@pytest.mark.parametrize(
    "data",
    [
        kw.token("FM") + kw.int32(2**30) + kw.int32(2**30),
        kw.token("FV") + kw.int32(2**31 - 1),
        kw.token("FV") + kw.int32(-1),
        kw.token("FP") + kw.int32(2**31 - 1),
        kw.token("CM") + struct.pack("<ffii", 0, 1, 2**30, 2**30),
        b"\4" + struct.pack("<i", 2**31 - 1),
        b"x" * 1000,
        b"\xff\xfe binary",
        b"",
    ],
)
def test_absurd_sizes_are_refused_before_anything_is_allocated(data: bytes) -> None:
    methods = ("read_matrix", "read_vector", "read_packed", "read_int_vector")
    refused = 0
    for method in methods:
        with pytest.raises(ModelError):
            getattr(reader(data), method)()
        refused += 1
    assert refused == len(methods)


@FEW
@given(cut=st.integers(0, 400), seed=st.integers(0, 1000))
def test_cut_files_raise_model_errors(cut: int, seed: int) -> None:
    array = np.random.default_rng(seed).normal(size=(6, 16))
    whole = kw.token("<M>") + kw.matrix(array)
    cut = min(cut, len(whole) - 1)
    with pytest.raises(ModelError):
        r = reader(whole[:cut])
        r.expect("<M>")
        r.read_matrix()
