"""Whose a folder of unfinished work is."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr.errors import DataError
from asr.work_folder import RUN_FILE, claim


def test_a_folder_is_that_of_one_work(tmp_path: Path) -> None:
    work = tmp_path / "work"
    claim(work, {"size": 3}, ["a", "b"])
    claim(work, {"size": 3}, ["a", "b"])
    for options, names in (({"size": 4}, ["a", "b"]), ({"size": 3}, ["b", "a"])):
        with pytest.raises(DataError, match="other options or other speech"):
            claim(work, options, names)
    (work / RUN_FILE).write_text("{")
    with pytest.raises(DataError, match="other options or other speech"):
        claim(work, {"size": 3}, ["a", "b"])


def test_other_things_are_not_claimed_but_what_a_kill_left_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", killed)
        patch.setattr(Path, "unlink", killed)  # nor is anything tidied
        claim(work, {}, [])
    assert len(list(work.iterdir())) == 1
    claim(work, {}, [])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(DataError, match="holds other things"):
        claim(tmp_path / "mine", {}, [])
