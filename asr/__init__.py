"""Malsori: Korean speech recognition that can be read, changed and trained.

    from asr import load
    model = load("ko")
    result = model.transcribe("a.flac")
    print(result.text, result.words[0].start)

The names below are imported when first used, so that `import asr` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asr.audio import Audio, load_audio
    from asr.errors import AsrError, UsageError
    from asr.hangul.pronunciation import pronounce
    from asr.recognizer import Model, load
    from asr.result import Result, Segment, Word
    from asr.stream import Stream

__version__ = "0.1.0"

__all__ = [
    "AsrError",
    "Audio",
    "Model",
    "Result",
    "Segment",
    "Stream",
    "UsageError",
    "Word",
    "__version__",
    "load",
    "load_audio",
    "pronounce",
]

_HOMES = {
    "AsrError": "asr.errors",
    "Audio": "asr.audio",
    "Model": "asr.recognizer",
    "Result": "asr.result",
    "Segment": "asr.result",
    "Stream": "asr.stream",
    "UsageError": "asr.errors",
    "Word": "asr.result",
    "load": "asr.recognizer",
    "load_audio": "asr.audio",
    "pronounce": "asr.hangul.pronunciation",
}


def __getattr__(name: str) -> Any:
    """Import an exported name from its module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'asr' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
