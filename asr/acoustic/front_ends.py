"""Front ends by what a bundle says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asr.acoustic.encoder_front_end import ENCODER, EncoderFrontEnd
from asr.acoustic.front_end import FrontEnd, SpectralFrontEnd
from asr.bundle import ENCODER_FILE, IVECTOR_FILE
from asr.features.ivector import IvectorConfig, IvectorExtractor, IvectorParams

Arrays = Mapping[str, NDArray[np.generic]]


def read_front_end(
    sections: Mapping[str, Any], tensors: Callable[[str], Arrays | None], device: torch.device
) -> FrontEnd:
    """The front end that the sections "features" and "ivector" describe.

    Args:
        sections: of a bundle.
        tensors: from a file's name to its arrays; None where the bundle has no such file.
        device: where it runs.

    Raises:
        KeyError, TypeError, ValueError: sections that cannot be understood.
        ModelError: an encoder that is not at hand.
    """
    section = sections["features"]
    if section["type"] == ENCODER:
        return EncoderFrontEnd.from_section(section, tensors(ENCODER_FILE), device)
    extractor, arrays = None, tensors(IVECTOR_FILE)
    if arrays is not None:
        params = IvectorParams.from_tensors(arrays)
        extractor = IvectorExtractor(params, IvectorConfig(**sections["ivector"]), device)
    return SpectralFrontEnd.from_section(section, extractor, device)
