"""Options: names, parsing, configuration files."""

import json
import subprocess
import sys

import pytest

from asr.errors import UsageError
from asr.features.config import (
    FbankConfig,
    FrameConfig,
    MelConfig,
    MfccConfig,
    from_conf,
    from_options,
    options_of,
    to_options,
)

KALDI_MFCC = """\
--use-energy=false   # use average of log energy, not energy.
--num-mel-bins=40
--num-ceps=40        # there is no dimensionality reduction.

--low-freq=20
--high-freq=-400
"""


def test_reads_a_kaldi_configuration_file():
    config = from_conf(MfccConfig, KALDI_MFCC)
    assert config == MfccConfig(
        mel=MelConfig(num_mel_bins=40, low_freq=20.0, high_freq=-400.0),
        num_ceps=40,
        use_energy=False,
    )


@pytest.mark.parametrize(
    "config",
    [
        FbankConfig(),
        FbankConfig(FrameConfig(snip_edges=False, window_type="sine"), use_log_fbank=False),
        MfccConfig(mel=MelConfig(num_mel_bins=30), num_ceps=20),
    ],
)
def test_options_survive_json(config):
    options = json.loads(json.dumps(to_options(config)))
    assert from_options(type(config), options) == config


def test_names_are_kaldis():
    names = {option.name for option in options_of(MfccConfig)}
    assert names >= {
        "num-mel-bins", "num-ceps", "low-freq", "high-freq", "frame-length", "frame-shift",
        "use-energy", "cepstral-lifter", "window-type", "preemphasis-coefficient", "snip-edges",
        "dither", "energy-floor", "raw-energy", "remove-dc-offset", "round-to-power-of-two",
        "sample-frequency", "vtln-warp", "vtln-low", "vtln-high", "htk-compat", "blackman-coeff",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["true", "True", "t", "1", ""])
def test_kaldis_ways_to_say_true(text):
    assert from_options(MfccConfig, {"use_energy": text}).use_energy is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use-energy": "yes"}, "true or false"),
        ({"num-ceps": "13.5"}, "whole number"),
        ({"low-freq": "low"}, "a number"),
        ({"low-freq": "nan"}, "a number"),
        ({"use-log-fbank": "true"}, "no option"),
        ({"window-type": "kaiser"}, "window-type"),
        ({"sample-frequency": "0"}, "sample-frequency"),
        ({"frame-shift": "0"}, "frame-shift"),
        ({"frame-length": "0.05"}, "frame-length"),
        ({"preemphasis-coefficient": "1.5"}, "preemphasis"),
        ({"dither": "-1"}, "dither"),
        ({"num-mel-bins": "2"}, "num-mel-bins"),
        ({"vtln-warp": "0"}, "vtln-warp"),
        ({"num-ceps": "0"}, "num-ceps"),
        ({"frame-length": "25.0625", "round-to-power-of-two": "false"}, "even number"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        from_options(MfccConfig, options)


def test_a_line_that_is_no_option_is_refused():
    with pytest.raises(UsageError, match="num-ceps"):
        from_conf(MfccConfig, "num-ceps=40")


def test_options_do_not_import_torch():
    code = "import sys, asr.features.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
