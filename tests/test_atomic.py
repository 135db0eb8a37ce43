"""Files and folders that appear whole, and what is left where their writer was killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from asr.atomic import TEMPORARY_MARK, recover_folder, replaced_file, replaced_folder


class Killed(BaseException):
    pass


def write(path: Path, text: str) -> None:
    with replaced_folder(path) as folder:
        (folder / "state").write_text(text)


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_kill_amid_a_replacement_leaves_the_old_or_the_new(
    renamed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the old folder is moved away, before the new one comes, before the old one goes."""
    path = tmp_path / "state [1]"  # no pattern
    write(path, "old")
    (tmp_path / f".state{TEMPORARY_MARK}9").mkdir()  # of something else
    done: list[object] = []
    rename = os.rename

    def counted(*places: Path) -> None:
        if len(done) == renamed:
            raise Killed
        done.append(places)
        rename(*places)

    def killed(*_: object, **__: object) -> None:
        raise Killed  # whoever is killed tidies nothing

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "rename", counted)
        patch.setattr("shutil.rmtree", killed)
        write(path, "new")
    assert path.exists() == (renamed != 1)
    recover_folder(path)
    assert (path / "state").read_text() == ("new" if renamed == 2 else "old")
    assert sorted(one.name for one in tmp_path.iterdir()) == [f".state{TEMPORARY_MARK}9", path.name]
    write(path, "newer")
    recover_folder(path)
    assert (path / "state").read_text() == "newer"


def test_nothing_to_recover(tmp_path: Path) -> None:
    recover_folder(tmp_path / "none")
    recover_folder(tmp_path / "no" / "parent")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("writer", [replaced_file, replaced_folder])
def test_what_fails_leaves_all_as_it_was(writer: Callable[..., object], tmp_path: Path) -> None:
    path = tmp_path / "result"
    with pytest.raises(ValueError), writer(path):  # type: ignore[attr-defined]
        raise ValueError
    assert not list(tmp_path.iterdir())
