"""`asr train` and `asr train-dnn` refuse wrong options before they look at any speech."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr.cli.main import main

NEW = ["--system", "gmm"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--init", "ko", "--option", "epochs=few"], "takes a number"),
        (["--init", "ko", "--option", "epoch=1"], "epoch"),
        (["--init", "ko", "--speeds", "1,slow"], "--speeds takes numbers"),
        (["--init", "ko", "--speeds", "0.9"], "hold 1"),
        (["--init", "ko", "--mmi", "0"], "nothing to train for"),
        (["--init", "ko", "--augment", "-1"], "0 copies or more"),
        (["--init", "ko", "--device", "abacus"], "no such device"),
        ([*NEW, "--network", "nowhere.json"], "is not JSON"),
        ([*NEW, "--network", '{"kind": tdnnf}'], "is not JSON"),
        ([*NEW, "--network", '{"kind": "tdnnf"}', "--speeds", "x"], "takes numbers"),
        ([*NEW, "--augment-options", "nowhere.json"], "is not JSON"),
        (["--teacher", "ko", "--teacher-weight", "2"], "within 0 and 1"),
        (["--objective", "ctc", "--smbr", "1"], "--smbr is for LF-MMI"),
        (["--objective", "ctc", "--mmi", "2"], "--mmi is for LF-MMI"),
        (["--objective", "ctc", "--guard", "data"], "a new one knows nothing"),
    ],
)
def test_options_come_before_the_data(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(tmp_path / "no-data"), str(tmp_path / "out"), *options]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pretrain-epochs", "0"], "one epoch at least"),
        (["--option", "epochs=few"], "takes a number"),
        (["--work", "out"], "must lie apart"),
    ],
)
def test_those_of_a_hybrid_too(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train-dnn", "no-data", "out", "--system", "gmm", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("words", [["train", "--init", "ko"], ["train-dnn", "--system", "gmm"]])
def test_no_threads_are_too_few(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*words, "no-data", "out", "--threads", "0"])
    assert stopped.value.code == 2
    assert "--threads: '0' is not a positive whole number" in capsys.readouterr().err


def test_a_place_that_holds_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").touch()
    for words in (["train", "no-data", str(tmp_path), "--init", "ko"],
                  ["train-dnn", "no-data", str(tmp_path), *NEW]):  # fmt: skip
        assert main(words) == 2
        assert "something other than a model" in capsys.readouterr().err
