"""Front ends by what a bundle says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asr.acoustic.encoder_front_end import ENCODER, EncoderFrontEnd
from asr.acoustic.front_end import FrontEnd, SpectralFrontEnd
from asr.features.ivector import IvectorConfig, IvectorExtractor, IvectorParams


def read_front_end(
    sections: Mapping[str, Any],
    ivector_tensors: Mapping[str, NDArray[np.generic]] | None,
    device: torch.device,
) -> FrontEnd:
    """The front end that the sections "features" and "ivector" describe.

    Raises:
        KeyError, TypeError, ValueError: sections that cannot be understood.
        ModelError: an encoder that is not at hand.
    """
    section = sections["features"]
    if section["type"] == ENCODER:
        return EncoderFrontEnd.from_section(section, device)
    extractor = None
    if ivector_tensors is not None:
        params = IvectorParams.from_tensors(ivector_tensors)
        extractor = IvectorExtractor(params, IvectorConfig(**sections["ivector"]), device)
    return SpectralFrontEnd.from_section(section, extractor, device)
