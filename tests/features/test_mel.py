"""Mel filters against kaldi-native-fbank's, VTLN and the refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.features import FrameConfig, MelConfig
from asr.features.mel import inverse_mel_scale, mel_banks, mel_scale

knf = pytest.importorskip("kaldi_native_fbank")


@settings(derandomize=True, deadline=None)
@given(
    st.sampled_from([8000.0, 16000.0, 44100.0]),
    st.integers(3, 40),
    st.sampled_from([0.0, 20.0, 60.0]),
    st.sampled_from([0.0, -300.0, 3900.0]),
    st.sampled_from([1.0, 0.85, 1.15]),
)
def test_banks_equal_kaldi_native_fbank(rate, bins, low, high, warp):
    frame_options = knf.FrameExtractionOptions()
    frame_options.samp_freq = rate
    mel_options = knf.MelBanksOptions()
    mel_options.num_bins, mel_options.low_freq, mel_options.high_freq = bins, low, high
    mel_options.vtln_low, mel_options.vtln_high = 100.0, 3000.0
    theirs = np.array(knf.MelBanks(mel_options, frame_options, warp).get_matrix())
    mel = MelConfig(bins, low, high, vtln_low=100.0, vtln_high=3000.0, vtln_warp=warp)
    ours = mel_banks(FrameConfig(sample_frequency=rate), mel)
    assert not ours[:, -1].any()
    np.testing.assert_allclose(ours[:, : theirs.shape[1]], theirs, rtol=0, atol=3e-5)


def test_mel_scale_is_its_own_inverse():
    freq = np.linspace(0, 8000, 99, dtype=np.float32)
    np.testing.assert_allclose(inverse_mel_scale(mel_scale(freq)), freq, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("mel", "message"),
    [
        ({"low_freq": -1.0}, "low-freq"),
        ({"low_freq": 8000.0}, "low-freq"),
        ({"high_freq": 8001.0}, "high-freq"),
        ({"high_freq": -7990.0}, "high-freq"),
        ({"num_mel_bins": 200}, "too many"),
        ({"vtln_warp": 1.1, "vtln_low": 10.0}, "vtln-low"),
        ({"vtln_warp": 1.1, "vtln_high": 8000.0}, "vtln-high"),
    ],
)
def test_refuses_filters_that_kaldi_refuses(mel, message):
    with pytest.raises(UsageError, match=message):
        mel_banks(FrameConfig(), MelConfig(**mel))
