"""A little GMM system that tests of networks stand on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from test_finetuning import shipped_speech

from asr.cli.main import main
from asr.gmm.systems import SystemConfig, build, schedule
from asr.gmm.viterbi import AlignConfig


def small_lm(folder: Path) -> Path:
    """A language model of what the recordings say: the shipped one takes seconds to read."""
    text, lm = folder / "said.txt", folder / "said.lm"
    text.write_text("\n".join([one.text for one in shipped_speech()] * 3), encoding="utf-8")
    assert main(["train-lm", "--order", "2", "--text", str(text), "--output", str(lm)]) == 0
    return lm


def mono_system(out: Path) -> Path:
    """Monophones of the shipped recordings, in the folder ``out``."""
    # so few utterances of so different voices: nothing is lost by the beam, on any processor
    loop = replace(schedule("mono", 6, 60), align=AlignConfig(beam=1000.0, retry_beam=0.0))
    build(SystemConfig("mono", loop=loop), shipped_speech(), out)
    return out
