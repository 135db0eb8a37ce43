"""An index on disk: round trip, and everything that is refused."""

import json

import numpy as np
import pytest

from asr.errors import DataError, UsageError
from asr.search import Catalog, Entry, Index, search
from asr.tensor_file import read_tensors, write_tensors

ENTRIES = (
    Entry("서울역", 8512.0, ("서울 정거장",), ("id=17", "x")),
    Entry("N서울타워", None, ("남산타워",)),
    Entry("강남역"), Entry("이", 3.0),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    Index.build(Catalog(ENTRIES)).save(tmp_path / "index")
    return tmp_path / "index"


def test_round_trip(folder):
    index, built = Index.open(folder), Index.build(Catalog(ENTRIES))
    assert tuple(index.entry(number) for number in range(len(index))) == ENTRIES
    for name, array in built._arrays().items():
        assert np.array_equal(index._arrays()[name], array, equal_nan=array.dtype.kind == "f"), name
    for query in ("서울역 찾아줘", "남산타워까지", "강남녁"):
        assert search(index, query) == search(built, query)


def test_postings_name_the_forms_that_hold_an_ngram(folder):
    index = Index.open(folder)
    postings, total = index.postings, index.postings.total
    counted = np.bincount(postings.form, minlength=len(total))
    assert (counted == total).all()


def test_saved_over_an_index_only(folder, tmp_path):
    Index.build(["불국사"]).save(folder)
    assert Index.open(folder).entry(0).name == "불국사"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(UsageError, match="something other"):
        Index.build(["불국사"]).save(tmp_path / "other")
    assert (tmp_path / "other" / "file").read_text() == "mine"


def test_no_index(tmp_path):
    with pytest.raises(DataError, match="holds no index"):
        Index.open(tmp_path)


@pytest.mark.parametrize("change, why", [
    ({"version": 99}, "version 99"),
    ({"format": "cookbook"}, "something other"),
    ({"gram": 7}, "damaged"),
    ({"arrays": {}}, "damaged"),
])  # fmt: skip
def test_another_description(folder, change, why):
    path = folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=why):
        Index.open(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_damaged_description(folder, text):
    (folder / "index.json").write_text(text)
    with pytest.raises(DataError):
        Index.open(folder)


def test_a_cut_file(folder):
    path = folder / "index.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged"):
        Index.open(folder)


@pytest.mark.parametrize("name, value", [
    ("forms.entry", 99), ("forms.entry", -1), ("forms.phones", 46), ("postings.form", 1000),
    ("forms.begin", 10**9), ("names.begin", -5), ("postings.begin", 10**9),
])  # fmt: skip
def test_arrays_that_point_outside(folder, name, value):
    mapped = read_tensors(folder / "index.safetensors")
    arrays = {key: array.copy() for key, array in mapped.items()}
    arrays[name][len(arrays[name]) // 2] = value
    write_tensors(folder / "index.safetensors", arrays)
    with pytest.raises(DataError, match="damaged"):
        Index.open(folder)


def test_unreadable_entries(caplog):
    with pytest.raises(DataError, match=r"1 of 2 entries cannot be read.*'東京'"):
        Index.build(["서울역", "東京"])
    index = Index.build(["東京", "서울역"], skip_unreadable=True)
    assert [index.entry(n).name for n in range(len(index))] == ["서울역"]
    assert "東京" in caplog.text
    with pytest.raises(DataError):
        Index.build(["東京"], skip_unreadable=True)
    with pytest.raises(DataError):
        Index.build([])
