"""Options that several subcommands have."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import DataError

if TYPE_CHECKING:
    from asr.features import MfccConfig

_DIGITS = 12
"""Of a whole number, at most: int() refuses thousands of them by an error of its own."""


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given on the command line; the others have their configs' defaults."""
    return {name: value for name, value in options.items() if value is not None}


def positive(text: str) -> int:
    """A type of argparse: 1, 2, 3…"""
    if not text.isdecimal() or len(text) > _DIGITS or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def count(text: str) -> int:
    """A type of argparse: 0, 1, 2…"""
    if not text.isdecimal() or len(text) > _DIGITS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def positive_real(text: str) -> float:
    """A type of argparse: a number above 0, and not endless."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


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


def add_precision(parser: argparse._ActionsContainer) -> None:
    """Declare --precision."""
    parser.add_argument("--precision", choices=("float32", "int8", "float16", "bfloat16"),
                        default="float32",
                        help="arithmetic of the network: int8 is faster on processors, for models"
                        " on an encoder; float16 is for GPUs (default: float32)")
