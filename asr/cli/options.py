"""Options that several subcommands have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import DataError

if TYPE_CHECKING:
    from asr.features import MfccConfig


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given on the command line; the others have their configs' defaults."""
    return {name: value for name, value in options.items() if value is not None}


def mfcc_config(path: Path | None) -> MfccConfig:
    """The features that a Kaldi mfcc.conf describes; None: as many cepstra as mel bins.

    Raises:
        DataError: it cannot be read.
    """
    from asr.features.config import MfccConfig, from_conf
    from asr.ivector_model import HIRES_MFCC

    if path is None:
        return HIRES_MFCC
    try:
        return from_conf(MfccConfig, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
