"""The i-vector extractor of the Korean model against Kaldi's own C++ (in Vosk's library)."""

from pathlib import Path

import kaldi_writer as kw
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from korean_model_data import GOLDEN, read_golden, vosk_dir

from asr.errors import ModelError
from asr.features.ivector import IvectorConfig, IvectorExtractor, IvectorParams
from asr.kaldi.ivector import (
    read_conf,
    read_diag_gmm,
    read_extractor,
    read_ivector_config,
    read_ivector_extractor,
)

Loaded = tuple[IvectorParams, IvectorConfig]
QUIET = 50.0  # Vosk's fork gathers no CMVN statistics where c0 is at most this


@pytest.fixture(scope="module")
def korean() -> Loaded:
    return read_ivector_extractor(vosk_dir() / "ivector")


def vosk_normalised(params: IvectorParams, config: IvectorConfig, mfcc: torch.Tensor) -> np.ndarray:
    """Spliced and normalised frames [T, 7 × 40] as Vosk's fork of Kaldi makes them.

    Its OnlineCmvn::GetFrame gathers statistics anew for loud frames only. For a quiet one it takes
    those that the call before left behind, to which the global ones were added already, and adds
    them again (up to cmn_window frames in all). Splicing calls it seven times a frame.
    """
    x = mfcc.double().numpy()
    frames = len(x)
    span = np.arange(-config.splice_left, config.splice_right + 1)
    calls = (np.arange(frames)[:, None] + span).clip(0, frames - 1).ravel()
    totals = np.vstack([np.zeros(41), np.hstack([x, np.ones((frames, 1))]).cumsum(0)])
    out = np.empty((len(calls), 40))
    stats = np.zeros(41)
    for row, t in enumerate(calls):
        if x[t, 0] > QUIET:
            stats = totals[t + 1] - totals[max(0, t + 1 - config.cmn_window)]
        missing = min(config.cmn_window - stats[-1], config.global_frames)
        stats = stats + params.global_cmvn[0] * missing / params.global_cmvn[0, -1]
        out[row] = x[t] - stats[:-1] / stats[-1]
    return out.reshape(frames, -1)


@pytest.mark.parametrize("name", GOLDEN)
def test_ivectors_equal_kaldis(korean: Loaded, name: str) -> None:
    golden = read_golden(name)
    params, config = korean
    extractor = IvectorExtractor(params, config)
    mfcc = torch.from_numpy(golden["mfcc"])
    normalised = torch.from_numpy(vosk_normalised(params, config, mfcc)).float()
    stream = extractor.stream()
    raw = torch.cat([*(raw for raw, _ in stream.project(mfcc)), stream.project_rest()[0]])
    stream.count(raw, extractor.project(normalised))
    # Kaldi stops after 15 steps of conjugate gradients; its float32 sums differ as well
    assert np.abs(stream.ivector().numpy() - golden["ivector"]).max() <= 5e-3


@pytest.mark.parametrize("name", GOLDEN)
def test_kaldis_own_cmvn_gives_nearly_the_same(korean: Loaded, name: str) -> None:
    golden = read_golden(name)
    difference = np.abs(
        IvectorExtractor(*korean).extract(torch.from_numpy(golden["mfcc"])).numpy()
        - golden["ivector"]
    ).max()
    # the synthetic sound has no quiet frames, so Vosk's rule changes nothing there
    assert difference <= (5e-3 if name == "synthetic" else 0.4)


def test_shapes_of_the_korean_extractor(korean: Loaded) -> None:
    params, config = korean
    assert params.projection.shape == (512, 40, 100)
    assert params.lda.shape == (40, 281)
    assert params.prior_offset[0] == pytest.approx(148.33, abs=0.01)
    assert config == IvectorConfig(splice_left=3, splice_right=3)


def diag_gmm(weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> bytes:
    parts = [kw.MARK, kw.token("<DiagGMM>"), kw.token("<WEIGHTS>"), kw.vector(weights)]
    parts += [kw.token("<MEANS_INVVARS>"), kw.matrix(means / variances)]
    parts += [kw.token("<INV_VARS>"), kw.matrix(1 / variances), kw.token("</DiagGMM>")]
    return b"".join(parts)


def test_gaussian_constants_are_log_likelihoods_at_zero(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = np.array([0.3, 0.7])
    means, variances = rng.normal(size=(2, 3)), rng.uniform(0.5, 2, (2, 3))
    (tmp_path / "final.dubm").write_bytes(diag_gmm(weights, means, variances))
    gconsts, means_invvars, inv_vars = read_diag_gmm(tmp_path / "final.dubm")
    density = np.exp(-0.5 * means**2 / variances) / np.sqrt(2 * np.pi * variances)
    np.testing.assert_allclose(gconsts, np.log(weights * density.prod(1)), rtol=1e-5)
    np.testing.assert_allclose(means_invvars / inv_vars, means, rtol=1e-5)


UBM = diag_gmm(np.array([0.3, 0.7]), np.ones((2, 3)), np.ones((2, 3)))
EXTRACTOR = b"".join(
    [
        kw.MARK, kw.token("<IvectorExtractor>"), kw.token("<w>"), kw.matrix(np.zeros((0, 0))),
        kw.token("<w_vec>"), kw.vector([0.5, 0.5]), kw.token("<M>"), kw.int32(2),
        kw.matrix(np.ones((3, 2))) * 2, kw.token("<SigmaInv>"),
        (kw.token("FP") + kw.int32(3) + np.ones(6, "<f4").tobytes()) * 2,
        kw.token("<IvectorOffset>"), kw.real(10.0), kw.token("</IvectorExtractor>"),
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(ubm=st.booleans(), place=st.floats(0, 1, exclude_max=True), value=st.integers(-1, 255))
def test_damaged_files_give_arrays_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, ubm: bool, place: float, value: int
) -> None:
    data = bytearray(UBM if ubm else EXTRACTOR)
    at = int(place * len(data))
    if value < 0:
        del data[at:]
    else:
        data[at] = value
    path = tmp_path_factory.mktemp("ie") / "file"
    path.write_bytes(bytes(data))
    try:
        shape = (read_diag_gmm(path) if ubm else read_extractor(path))[1].shape
    except ModelError:
        return
    assert value >= 0, "a cut file was accepted"
    assert shape[0] in (1, 2)


def test_configurations(tmp_path: Path) -> None:
    (tmp_path / "splice.conf").write_text("--left-context=2  # frames\n\n--right_context=1\n")
    config = read_ivector_config(tmp_path)
    assert (config.splice_left, config.splice_right, config.cmn_window) == (2, 1, 600)
    (tmp_path / "online_cmvn.conf").write_text("--norm-means=true\n--cmn-window=300\n")
    assert read_ivector_config(tmp_path).cmn_window == 300
    for text, message in (
        ("--cmn-window=many", "not a number"),
        ("--norm-vars=true", "--norm-vars .*not supported"),
        ("cmn-window=3", "line 1: expected --option"),
        ("--cmn-window=100", "global_frames"),
    ):
        (tmp_path / "online_cmvn.conf").write_text(text)
        with pytest.raises(ModelError, match=message):
            read_ivector_config(tmp_path)
    assert read_conf(tmp_path / "splice.conf") == {"left-context": "2", "right-context": "1"}


def test_files_of_different_extractors_are_refused(tmp_path: Path) -> None:
    for file in (vosk_dir() / "ivector").iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "final.dubm").unlink()
    (tmp_path / "final.dubm").write_bytes(UBM)
    with pytest.raises(ModelError, match="different i-vector extractors"):
        read_ivector_extractor(tmp_path)
