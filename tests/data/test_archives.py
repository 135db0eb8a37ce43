"""Archives against kaldiio, which nobody here wrote: each reads what the other writes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data import ArkWriter, ScpReader, read_ark
from asr.data.archives import Place, compressed
from asr.errors import DataError

kaldiio = pytest.importorskip("kaldiio")


def _matrices() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "가-1": rng.standard_normal((57, 13)).astype(np.float32),
        "b": rng.standard_normal((2, 41)),
        "one": np.float32([[1.5]]),
        "long": 40 * rng.standard_normal((300, 40)).astype(np.float32) - 7,
    }


def test_kaldiio_reads_ours(tmp_path: Path) -> None:
    matrices = _matrices()
    with ArkWriter(tmp_path / "x.ark", tmp_path / "x.scp") as writer:
        for key, matrix in matrices.items():
            writer.write(key, matrix)
    theirs = kaldiio.load_scp(str(tmp_path / "x.scp"))
    assert set(theirs) == set(matrices)
    for key, matrix in matrices.items():
        np.testing.assert_array_equal(theirs[key], matrix)
        assert theirs[key].dtype == matrix.dtype
    for (key, read), (name, matrix) in zip(
        kaldiio.load_ark(str(tmp_path / "x.ark")), matrices.items(), strict=True
    ):
        assert key == name
        np.testing.assert_array_equal(read, matrix)


@pytest.mark.parametrize("method", [None, 2, 3, 5])
def test_we_read_kaldiios(tmp_path: Path, method: int | None) -> None:
    matrices = _matrices()
    kaldiio.save_ark(
        str(tmp_path / "x.ark"), matrices, scp=str(tmp_path / "x.scp"), compression_method=method
    )
    theirs = kaldiio.load_scp(str(tmp_path / "x.scp"))
    ours = ScpReader.open(tmp_path / "x.scp")
    in_order = dict(read_ark(tmp_path / "x.ark"))
    assert list(in_order) == list(matrices)
    for key in matrices:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(in_order[key], ours[key])
        assert ours.shape(key) == matrices[key].shape


@pytest.mark.parametrize("rows", [1, 8, 9, 300])
def test_compressed_is_read_by_kaldiio_and_near(tmp_path: Path, rows: int) -> None:
    rng = np.random.default_rng(rows)
    matrix = (rng.standard_normal((rows, 20)) * rng.uniform(0.1, 30, 20)).astype(np.float32)
    matrix[:, 3] = 2.0  # a column without spread
    with ArkWriter(tmp_path / "x.ark", tmp_path / "x.scp", compress=True) as writer:
        writer.write("u", matrix)
    theirs = kaldiio.load_scp(str(tmp_path / "x.scp"))["u"]
    ours = ScpReader.open(tmp_path / "x.scp")["u"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    if rows > 8:
        kaldiio.save_ark(str(tmp_path / "k.ark"), {"u": matrix}, compression_method=2)
        kaldi = next(iter(kaldiio.load_ark(str(tmp_path / "k.ark"))))[1]
        assert np.abs(ours - matrix).mean() <= 1.1 * np.abs(kaldi - matrix).mean() + 1e-6
        assert (tmp_path / "x.ark").stat().st_size < matrix.nbytes / 2 + 400
    spread = matrix.max() - matrix.min()
    assert np.abs(ours - matrix).max() < spread / 60


@given(
    st.integers(1, 30),
    st.integers(1, 5),
    st.floats(-1e4, 1e4, width=32),
    st.floats(0, 1e4, width=32),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_compression_stays_within_its_steps(
    rows: int, columns: int, offset: float, scale: float, seed: int
) -> None:
    from asr.kaldi.io import BinaryReader

    rng = np.random.default_rng(seed)
    matrix = (offset + scale * rng.standard_normal((rows, columns))).astype(np.float32)
    read = BinaryReader(compressed(matrix), "test").read_matrix()
    spread = float(matrix.max() - matrix.min()) or abs(offset) * 1e-4 + 1e-4
    assert np.abs(read - matrix).max() <= spread / 50 + 1e-3 * abs(offset)


def test_rows_of_a_range(tmp_path: Path) -> None:
    matrix = np.arange(40, dtype=np.float32).reshape(10, 4)
    with ArkWriter(tmp_path / "x.ark") as writer:
        writer.write("u", matrix)
    place = writer.places["u"]
    reader = ScpReader({"a": f"{place}[2:4]", "b": f"{place}[0:10]"})
    np.testing.assert_array_equal(reader["a"], matrix[2:5])
    assert reader.shape("a") == (3, 4)
    with pytest.raises(DataError, match=r"rows up to 10 are asked for where .* has 10"):
        reader["b"]
    with pytest.raises(DataError, match="lower number first"):
        Place.parse("x.ark:5[4:2]")
    with pytest.raises(DataError, match="shell command"):
        Place.parse("gunzip -c x.ark.gz |")


def test_readers_travel_to_other_processes(tmp_path: Path) -> None:
    with ArkWriter(tmp_path / "x.ark") as writer:
        writer.write("u", np.ones((2, 2), np.float32))
    reader = ScpReader(writer.places)
    np.testing.assert_array_equal(reader["u"], 1)
    again = pickle.loads(pickle.dumps(reader))  # what a loader's worker processes do
    np.testing.assert_array_equal(again["u"], 1)


def test_nothing_appears_when_writing_fails(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        ArkWriter(tmp_path / "x.ark", tmp_path / "x.scp") as writer,
    ):
        writer.write("u", np.ones((2, 2), np.float32))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "matrix", "said"),
    [
        ("a b", np.ones((1, 1), np.float32), "cannot be an id"),
        ("u", np.ones(3, np.float32), "takes float32 or float64"),
        ("u", np.ones((2, 2), np.int32), "takes float32 or float64"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, key: str, matrix: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said), ArkWriter(tmp_path / "x.ark") as writer:
        writer.write(key, matrix)
    with pytest.raises(DataError, match="twice"), ArkWriter(tmp_path / "x.ark") as writer:
        writer.write("u", np.ones((1, 1), np.float32))
        writer.write("u", np.ones((1, 1), np.float32))
    with pytest.raises(DataError, match="not finite"):
        compressed(np.float32([[np.nan]]))


def test_damaged_archives(tmp_path: Path) -> None:
    with ArkWriter(tmp_path / "x.ark") as writer:
        writer.write("u", np.ones((20, 20), np.float32))
        writer.write("v", np.ones((20, 20), np.float32))
    data = (tmp_path / "x.ark").read_bytes()
    (tmp_path / "cut.ark").write_bytes(data[:-100])
    reader = ScpReader({k: p.replace("x.ark", "cut.ark") for k, p in writer.places.items()})
    assert reader["u"].shape == (20, 20)
    with pytest.raises(DataError, match=r"v: .*cut.ark"):
        reader["v"]
    with pytest.raises(DataError, match="v: "):
        list(read_ark(tmp_path / "cut.ark"))
    for text, said in (
        (f"{tmp_path}/x.ark:7", "no binary matrix at byte 7"),
        (f"{tmp_path}/x.ark:99999999", "no binary matrix"),
        (f"{tmp_path}/none.ark:2", "cannot be read"),
    ):
        with pytest.raises(DataError, match=said):
            ScpReader({"u": text})["u"]
    (tmp_path / "text.ark").write_text("u [ 1 2\n 3 4 ]\n")
    with pytest.raises(DataError, match="text form"):
        list(read_ark(tmp_path / "text.ark"))
    (tmp_path / "empty.ark").write_bytes(b"")
    assert list(read_ark(tmp_path / "empty.ark")) == []
    with pytest.raises(DataError, match="it is empty"):
        ScpReader({"u": f"{tmp_path}/empty.ark:2"})["u"]
