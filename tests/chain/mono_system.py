"""A little GMM system that tests of networks stand on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from test_finetuning import shipped_speech

from asr.gmm.systems import SystemConfig, build, schedule
from asr.gmm.viterbi import AlignConfig


def mono_system(out: Path) -> Path:
    """Monophones of the shipped recordings, in the folder ``out``."""
    # so few utterances of so different voices: nothing is lost by the beam, on any processor
    loop = replace(schedule("mono", 6, 60), align=AlignConfig(beam=1000.0, retry_beam=0.0))
    build(SystemConfig("mono", loop=loop), shipped_speech(), out)
    return out
