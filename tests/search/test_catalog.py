"""Catalogues: what is read, and which line is refused."""

import lzma

import pytest

from asr.errors import DataError, UsageError
from asr.search import Catalog, Entry, read_catalog


def write(tmp_path, text, name="catalog.tsv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_all_columns(tmp_path):
    path = write(
        tmp_path,
        "# a comment\n서울역\t8512\t서울스테이션|서울 정거장\tid=17\tx\n\n"
        "N서울타워\t\t남산타워\n강남역\n",
    )
    assert list(read_catalog(path)) == [
        Entry("서울역", 8512.0, ("서울스테이션", "서울 정거장"), ("id=17", "x")),
        Entry("N서울타워", None, ("남산타워",)),
        Entry("강남역"),
    ]


def test_compressed_and_composed(tmp_path):
    path = tmp_path / "catalog.tsv.xz"
    with lzma.open(path, "wt", encoding="utf-8") as file:
        file.write("\ufeff강남역\n")  # conjoining jamo after a mark
    assert [entry.name for entry in read_catalog(path)] == ["강남역"]


@pytest.mark.parametrize("line, why", [
    ("서울역\tmany", "popularity"),
    ("서울역\t-1", "not negative"),
    ("서울역\tnan", "not negative"),
    ("서울역\tinf", "not negative"),
    ("\t5", "must have letters"),
    ("서울|역", "must have letters"),
    ("서울역\t5\t남산||타워", "must have letters"),
    ("서울\x00역", "must have letters"),
])  # fmt: skip
def test_a_bad_line_is_named(tmp_path, line, why):
    path = write(tmp_path, f"강남역\n# comment\n{line}\n")
    with pytest.raises(DataError, match=f"line 3.*{why}"):
        read_catalog(path)


def test_broken_utf8_is_refused_with_its_line(tmp_path):
    path = tmp_path / "catalog.tsv"
    path.write_bytes("강남역\n".encode() + "서울역".encode("cp949"))
    with pytest.raises(DataError, match="line 2"):
        read_catalog(path)


def test_nothing_to_search(tmp_path):
    with pytest.raises(DataError, match="no entries"):
        read_catalog(write(tmp_path, "# only a comment\n"))
    with pytest.raises(DataError, match="cannot be read"):
        read_catalog(tmp_path / "missing.tsv")
    with pytest.raises(UsageError):
        Catalog([])


def test_readings_are_of_name_and_aliases():
    assert Entry("강남  역").readings() == ("강남 역",)
    assert Entry("N서울타워", aliases=("남산타워",)).readings()[-1] == "남산타워"
    assert "엔서울타워" in Entry("N서울타워").readings()
    assert Entry("東京").readings() == ()
    assert Entry("東京", aliases=("도쿄",)).readings() == ("도쿄",)
