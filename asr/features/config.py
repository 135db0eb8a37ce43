"""Feature options: one place for every default, named as Kaldi names its command-line options.

A field's name is the option's name with underscores for hyphens (``num_mel_bins`` is
``--num-mel-bins``), so options, configuration files and model bundles need no second table.
The defaults are those of Kaldi's ``compute-fbank-feats`` and ``compute-mfcc-feats``
(feat/feature-window.h, mel-computations.h, feature-fbank.h, feature-mfcc.h), except that
``dither`` is 0: the same sound always gives the same features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from asr.errors import UsageError

MAX_FRAME_MS = 10_000.0
"""Frames are hundredths of a second; longer than this is a slip that would fill the memory."""
WINDOW_TYPES = ("povey", "hamming", "hanning", "rectangular", "sine", "blackman")

Value = bool | int | float | str


def _option(default: Value, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class FrameConfig:
    """How a waveform is cut into frames (Kaldi's FrameExtractionOptions)."""

    sample_frequency: float = _option(16000.0, "sampling rate in Hz")
    frame_length: float = _option(25.0, "frame length in milliseconds")
    frame_shift: float = _option(10.0, "frame shift in milliseconds")
    preemphasis_coefficient: float = _option(0.97, "coefficient of signal pre-emphasis")
    remove_dc_offset: bool = _option(True, "subtract the mean from each frame")
    dither: float = _option(0.0, "standard deviation of the noise added, at sample scale")
    window_type: str = _option("povey", "window: " + "|".join(WINDOW_TYPES))
    blackman_coeff: float = _option(0.42, "constant of the generalised Blackman window")
    round_to_power_of_two: bool = _option(True, "zero-pad frames to a power of two for the FFT")
    snip_edges: bool = _option(
        True, "only frames that fit wholly; false: reflect the ends, one frame per shift"
    )
    sample_scale: float = _option(
        32768.0, "samples in [-1, 1] are multiplied by this (Kaldi works at 16-bit scale)"
    )

    def __post_init__(self) -> None:
        if self.sample_frequency <= 0:
            raise UsageError(f"--sample-frequency must be positive, not {self.sample_frequency}.")
        if max(self.frame_length, self.frame_shift) > MAX_FRAME_MS:
            raise UsageError(
                f"--frame-length and --frame-shift are at most {MAX_FRAME_MS:g} ms, not "
                f"{max(self.frame_length, self.frame_shift):g}."
            )
        if self.window_size < 2 or self.window_shift < 1:
            raise UsageError(
                f"Frames of {self.frame_length} ms every {self.frame_shift} ms are too short at "
                f"{self.sample_frequency:g} Hz: set a longer --frame-length or --frame-shift."
            )
        if self.padded_size % 2:
            raise UsageError(
                f"The frame holds {self.window_size} samples: make it an even number with "
                "--frame-length or set --round-to-power-of-two=true."
            )
        if not 0.0 <= self.preemphasis_coefficient <= 1.0:
            raise UsageError("--preemphasis-coefficient must lie between 0 and 1.")
        if self.window_type not in WINDOW_TYPES:
            raise UsageError(
                f"Unknown --window-type {self.window_type!r}: use one of {', '.join(WINDOW_TYPES)}."
            )
        if self.dither < 0:
            raise UsageError("--dither must not be negative.")

    @property
    def window_size(self) -> int:
        """Samples in a frame."""
        return int(self.sample_frequency * 0.001 * self.frame_length)

    @property
    def window_shift(self) -> int:
        """Samples from one frame to the next."""
        return int(self.sample_frequency * 0.001 * self.frame_shift)

    @property
    def padded_size(self) -> int:
        """Points of the FFT."""
        size = self.window_size
        return 1 << (size - 1).bit_length() if self.round_to_power_of_two else size


@dataclass(frozen=True, slots=True)
class MelConfig:
    """The triangular mel filters (Kaldi's MelBanksOptions)."""

    num_mel_bins: int = _option(23, "number of triangular mel-frequency bins")
    low_freq: float = _option(20.0, "low cutoff frequency in Hz")
    high_freq: float = _option(0.0, "high cutoff frequency in Hz; if <= 0, offset from Nyquist")
    vtln_low: float = _option(100.0, "low inflection point of the VTLN warping in Hz")
    vtln_high: float = _option(
        -500.0, "high inflection point of the VTLN warping in Hz; if negative, offset from Nyquist"
    )
    vtln_warp: float = _option(1.0, "VTLN warp factor; 1 is none")
    htk_mode: bool = _option(False, "floor mel energies at 1, empty the first bin's first weight")

    def __post_init__(self) -> None:
        if self.num_mel_bins < 3:
            raise UsageError(f"--num-mel-bins must be at least 3, not {self.num_mel_bins}.")
        if self.vtln_warp <= 0:
            raise UsageError(f"--vtln-warp must be positive, not {self.vtln_warp}.")


@dataclass(frozen=True, slots=True)
class FbankConfig:
    """Filterbank energies (Kaldi's FbankOptions)."""

    frame: FrameConfig = field(default_factory=FrameConfig)
    mel: MelConfig = field(default_factory=MelConfig)
    use_energy: bool = _option(False, "add a dimension with the frame's log energy")
    energy_floor: float = _option(0.0, "floor on the energy (absolute, not logarithmic)")
    raw_energy: bool = _option(True, "take the energy before pre-emphasis and windowing")
    htk_compat: bool = _option(False, "put the energy last")
    use_log_fbank: bool = _option(True, "logarithm of the mel energies; false: linear")
    use_power: bool = _option(True, "sum power; false: magnitude")

    @property
    def dim(self) -> int:
        """Feature dimension."""
        return self.mel.num_mel_bins + self.use_energy


@dataclass(frozen=True, slots=True)
class MfccConfig:
    """Mel-frequency cepstra (Kaldi's MfccOptions)."""

    frame: FrameConfig = field(default_factory=FrameConfig)
    mel: MelConfig = field(default_factory=MelConfig)
    num_ceps: int = _option(13, "number of cepstra, C0 included")
    use_energy: bool = _option(True, "the frame's log energy in place of C0")
    energy_floor: float = _option(0.0, "floor on the energy (absolute, not logarithmic)")
    raw_energy: bool = _option(True, "take the energy before pre-emphasis and windowing")
    cepstral_lifter: float = _option(22.0, "scaling of the cepstra; 0 is none")
    htk_compat: bool = _option(False, "put the energy or C0 last, C0 times sqrt(2)")

    def __post_init__(self) -> None:
        if not 1 <= self.num_ceps <= self.mel.num_mel_bins:
            raise UsageError(
                f"--num-ceps must lie between 1 and --num-mel-bins={self.mel.num_mel_bins}, "
                f"not be {self.num_ceps}."
            )

    @property
    def dim(self) -> int:
        """Feature dimension."""
        return self.num_ceps


FeatureConfig = FbankConfig | MfccConfig
C = TypeVar("C", FbankConfig, MfccConfig)

_GROUPS: dict[str, type] = {"frame": FrameConfig, "mel": MelConfig}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a feature type: Kaldi's name without the leading ``--``."""

    name: str
    default: Value
    help: str

    def parse(self, text: str) -> Value:
        """Read ``text`` as the default's type; booleans as Kaldi writes them (true, false, t, f).

        Raises:
            UsageError: the text is no such value.
        """
        try:
            return _parse(text, type(self.default))
        except ValueError:
            kind = {bool: "true or false", int: "a whole number", float: "a number"}
            wanted = kind.get(type(self.default), "a word")
            raise UsageError(f"--{self.name} takes {wanted}, not {text!r}.") from None


def _parse(text: str, kind: type) -> Value:
    if kind is bool:
        lowered = text.lower()
        if lowered in ("true", "t", "1", ""):  # Kaldi reads a bare --flag as true
            return True
        if lowered in ("false", "f", "0"):
            return False
        raise ValueError(text)
    value: Value = kind(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(text)
    return value


def options_of(config_type: type[FbankConfig] | type[MfccConfig]) -> list[Option]:
    """Every option of a feature type, frames and mel bins first."""
    return [option for cls in (*_GROUPS.values(), config_type) for option in _own_options(cls)]


def _own_options(cls: Any) -> list[Option]:
    return [
        Option(item.name.replace("_", "-"), cast(Value, item.default), item.metadata["help"])
        for item in fields(cls)
        if "help" in item.metadata
    ]


def to_options(config: FeatureConfig) -> dict[str, Value]:
    """All options by Kaldi name, e.g. ``{"num-mel-bins": 40, ...}``: plain JSON values."""
    flat: dict[str, Value] = {}
    for part in (config.frame, config.mel, config):
        for option in _own_options(type(part)):
            flat[option.name] = getattr(part, option.name.replace("-", "_"))
    return flat


def from_options(config_type: type[C], options: Mapping[str, Value]) -> C:
    """The config with the given options set and the others at their defaults.

    Args:
        config_type: FbankConfig or MfccConfig.
        options: Kaldi names (hyphens or underscores) to values; text is parsed.

    Raises:
        UsageError: an option that this feature type does not have, or a bad value.
    """
    parts: dict[type, dict[str, Any]] = {cls: {} for cls in (*_GROUPS.values(), config_type)}
    owners = {option.name: (cls, option) for cls in parts for option in _own_options(cls)}
    for given, value in options.items():
        name = given.replace("_", "-")
        if name not in owners:
            kind = config_type.__name__.removesuffix("Config").lower()
            raise UsageError(f"{kind} features have no option --{name}.")
        cls, option = owners[name]
        parts[cls][name.replace("-", "_")] = option.parse(str(value))
    groups = {name: cls(**parts[cls]) for name, cls in _GROUPS.items()}
    return config_type(**groups, **parts[config_type])


def from_conf(config_type: type[C], text: str) -> C:
    """Read a Kaldi configuration file such as ``conf/mfcc.conf``: a ``--name=value`` a line.

    Raises:
        UsageError: a line that is no option, an unknown option or a bad value.
    """
    options: dict[str, Value] = {}
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        if not line.startswith("--"):
            raise UsageError(f"Not an option in the feature configuration: {line!r}.")
        name, _, value = line[2:].partition("=")
        options[name.strip()] = value.strip()
    return from_options(config_type, options)
