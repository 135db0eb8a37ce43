"""Features on disk: what kaldiio reads is what the extractors give, and statistics are Kaldi's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import TEXTS, write_sound

from asr.data import DataDir
from asr.data.choosing import perturb_speed
from asr.data.features_on_disk import StorageConfig, write_features
from asr.data.validation import validate
from asr.errors import DataError
from asr.features import Fbank, FbankConfig, MelConfig, Mfcc, MfccConfig, apply_cmvn
from asr.features.config import from_conf

kaldiio = pytest.importorskip("kaldiio")


def test_features_and_statistics(folder: Path, tmp_path: Path) -> None:
    data = DataDir.read(folder)
    config = MfccConfig(num_ceps=13, use_energy=False)
    report = write_features(data, tmp_path / "out", config)
    assert validate(tmp_path / "out") == []
    assert report.failed == {} and report.dim == 13
    theirs = kaldiio.load_scp(str(tmp_path / "out" / "feats.scp"))
    stats = kaldiio.load_scp(str(tmp_path / "out" / "cmvn.scp"))
    again = DataDir.read(tmp_path / "out")
    ours, mine = again.features(), again.cmvn()
    for utterance in data.utterances:
        wanted = Mfcc(config)(torch.from_numpy(utterance.samples())[None])[0][0].numpy()
        np.testing.assert_array_equal(theirs[utterance.id], wanted)
        np.testing.assert_array_equal(ours[utterance.id], wanted)
        assert again.extras["utt2num_frames"][utterance.id] == str(len(wanted))
    assert sum(int(n) for n in again.extras["utt2num_frames"].values()) == report.frames
    for speaker, names in data.speakers.items():
        frames = np.concatenate([theirs[name] for name in names]).astype(np.float64)
        assert stats[speaker].dtype == np.float64 and stats[speaker].shape == (2, 14)
        np.testing.assert_allclose(stats[speaker][0, :-1], frames.sum(0))
        np.testing.assert_allclose(stats[speaker][1, :-1], (frames**2).sum(0))
        assert (stats[speaker][0, -1], stats[speaker][1, -1]) == (len(frames), 0)
        np.testing.assert_array_equal(mine[speaker], stats[speaker])
        out = [
            apply_cmvn(torch.tensor(theirs[n])[None], torch.tensor(mine[speaker]), norm_vars=True)[
                0
            ]
            for n in names
        ]
        whole = torch.cat(out)
        torch.testing.assert_close(whole.mean(0), torch.zeros(13), atol=1e-4, rtol=0)
        torch.testing.assert_close(whole.var(0, correction=0), torch.ones(13), atol=1e-3, rtol=0)
    conf = (tmp_path / "out" / "conf" / "mfcc.conf").read_text()
    assert from_conf(MfccConfig, conf) == config


def test_in_place_compressed_and_of_another_rate(folder: Path, tmp_path: Path) -> None:
    config = FbankConfig(mel=MelConfig(num_mel_bins=40))
    before = (folder / "text").read_bytes()
    write_features(DataDir.read(folder), folder, config)
    assert validate(folder) == [] and (folder / "text").read_bytes() == before
    large = (folder / "archives" / "feats.ark").stat().st_size
    write_sound(tmp_path / "sound" / "kim-1.wav", 1.0, 0, rate=44_100)
    write_features(DataDir.read(folder), folder, config, StorageConfig(compress=True))
    assert validate(folder) == []
    assert (folder / "archives" / "feats.ark").stat().st_size < 0.3 * large
    utterance = DataDir.read(folder).utterances[3]
    wanted = Fbank(config)(torch.from_numpy(utterance.samples())[None])[0][0].numpy()
    stored = DataDir.read(folder).features()[utterance.id]
    assert np.abs(stored - wanted).max() < 0.35 and np.abs(stored - wanted).mean() < 0.04


def test_copies_at_other_speeds(small: DataDir, tmp_path: Path) -> None:
    fast = perturb_speed(small, (0.9, 1.0))
    report = write_features(fast, tmp_path / "out", MfccConfig())
    frames = {name: int(n) for name, n in report.data.extras["utt2num_frames"].items()}
    assert frames["kim-1"] == 98 and frames["sp0.9-kim-1"] == 109
    assert "sp0.9-kim" in report.data.cmvn()
    assert validate(tmp_path / "out") == []


def test_bad_utterances_are_left_out_and_told_of(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sound" / "kim-1.wav").unlink()
    write_sound(tmp_path / "sound" / "lee-2.wav", 0.01)
    data = DataDir.read(folder)
    with pytest.raises(
        DataError, match=r"only 4 of 6 utterances give features \(first without: kim-1"
    ):
        write_features(data, tmp_path / "out", MfccConfig())
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))
    report = write_features(data, tmp_path / "out", MfccConfig(), StorageConfig(min_kept=0.5))
    assert set(report.failed) == {"kim-1", "lee-2"}
    assert "shorter than a frame" in report.failed["lee-2"]
    assert [u.id for u in DataDir.read(tmp_path / "out").utterances] == [
        name for name in TEXTS if name not in report.failed
    ]
    assert validate(tmp_path / "out") == []


def test_other_folders_are_not_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "precious").write_text("x")
    with pytest.raises(DataError, match="there already"):
        write_features(DataDir.read(folder), tmp_path / "home", MfccConfig())
    with pytest.raises(DataError, match=r"has no feats.scp: compute them"):
        DataDir.read(folder).features()
