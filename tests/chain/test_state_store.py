"""Features on disk: found again as they were kept, also after a run was killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from asr import state_store
from asr.errors import DataError
from asr.state_store import INDEX_FILE, StateStore


def features(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(frames, 6, generator=torch.Generator().manual_seed(seed))


def test_what_was_kept_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_store, "SHARD_BYTES", 20_000)
    store = StateStore(tmp_path / "s", 6)
    kept = {str(n): store.keep(str(n), features(100 * n, n)) for n in range(1, 20)}
    assert len(list((tmp_path / "s").glob("*.bin"))) > 5
    for again in (store, StateStore(tmp_path / "s", 6)):
        for name, one in kept.items():
            found = again.find(name)
            assert found is not None and found.dtype == torch.float16
            torch.testing.assert_close(found, features(100 * int(name), int(name)).half())
            torch.testing.assert_close(one, found)
        assert again.find("0") is None
    more = StateStore(tmp_path / "s", 6)
    more.keep("more", features(50, 99))  # behind what was there
    torch.testing.assert_close(more.find("19"), features(1900, 19).half())
    assert StateStore(tmp_path / "s", 6).find("more") is not None
    more.remove()
    assert not (tmp_path / "s").exists()


def test_it_takes_what_it_holds_and_no_more(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 6)
    for number in range(10):
        store.keep(str(number), features(1000, number))
    on_disk = sum(512 * file.stat().st_blocks for file in tmp_path.glob("*.bin"))
    assert 120_000 <= on_disk <= 200_000


def test_what_was_cut_off_or_damaged_counts_as_lost(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 6)
    store.keep("a", features(40, 1))
    store.keep("b", features(40, 2))
    index = tmp_path / INDEX_FILE
    index.write_text(index.read_text()[:-9])  # killed amid a line
    again = StateStore(tmp_path, 6)
    assert again.find("a") is not None and again.find("b") is None
    again.keep("b", features(40, 3))
    with open(tmp_path / "0000.bin", "r+b") as file:
        os.pwrite(file.fileno(), b"\xff\xff\xff", 10)
    last = StateStore(tmp_path, 6)
    assert last.find("a") is None
    torch.testing.assert_close(last.find("b"), features(40, 3).half())


def test_what_cannot_be_kept_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StateStore(tmp_path, 6)
    with pytest.raises(DataError, match="float16"):
        store.keep("a", torch.full((3, 6), 1e6))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DataError, match=r"make room.*goes on"):
        store.keep("a", features(3))
    assert store.find("a") is None


def test_a_file_that_was_cut_short_is_written_on(tmp_path: Path) -> None:
    StateStore(tmp_path, 6).keep("a", features(5000, 1))
    os.truncate(tmp_path / "0000.bin", 4096)
    again = StateStore(tmp_path, 6)
    assert again.find("a") is None  # it is mapped by now, as short as it is
    torch.testing.assert_close(again.keep("b", features(40, 2)), features(40, 2).half())


def test_features_of_another_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="6 wide"):
        StateStore(tmp_path, 6).keep("a", features(4)[:, :5])
