"""Results in the forms of OpenAI's transcription API."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from typing import Any

from asr.result import Result, Segment, Word
from asr.writers import get_writer

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
_LANGUAGES = {"ko": "korean"}
_LEAST_PROBABILITY = 1e-4


def render(result: Result, response_format: str, granularities: frozenset[str]) -> tuple[str, str]:
    """The body of an answer, and its media type.

    ``srt`` and ``vtt`` are what ``asr transcribe`` writes.
    """
    if response_format == "text":
        return result.written_text + "\n", TEXT_TYPE
    if response_format in ("srt", "vtt"):
        return get_writer(response_format).dumps(result), TEXT_TYPE
    if response_format == "verbose_json":
        return _json(verbose(result, granularities)), JSON_TYPE
    return _json({"text": result.written_text, "usage": usage(result)}), JSON_TYPE


def verbose(result: Result, granularities: frozenset[str]) -> dict[str, Any]:
    """``verbose_json``, with our confidences beside OpenAI's fields."""
    form: dict[str, Any] = {
        "task": "transcribe",
        "language": _LANGUAGES.get(result.language, result.language),
        "duration": _seconds(result.duration),
        "text": result.written_text,
    }
    if "segment" in granularities:
        form["segments"] = [
            _segment(number, segment) for number, segment in enumerate(result.segments)
        ]
    if "word" in granularities:
        form["words"] = [
            _word(word) for segment in result.segments for word in segment.written_words()
        ]
    form["usage"] = usage(result)
    return form


def usage(result: Result) -> dict[str, Any]:
    """Seconds of sound, as OpenAI bills them: rounded up."""
    return {"type": "duration", "seconds": math.ceil(result.duration)}


def delta_event(segment: Segment, first: bool) -> str:
    """A server-sent event: more text has become final."""
    text = segment.written_text if first else f" {segment.written_text}"
    return _event({"type": "transcript.text.delta", "delta": text})


def done_event(result: Result) -> str:
    """The last server-sent event: the whole text."""
    text = result.written_text
    return _event({"type": "transcript.text.done", "text": text, "usage": usage(result)})


def error_event(form: dict[str, Any]) -> str:
    """A failure after the first event."""
    return _event(form, "error")


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """Fields of Whisper's decoder that ours has not: no tokens, temperature 0, speech for sure."""
    text = segment.written_text.encode()
    return {
        "id": number,
        "seek": round(segment.start * 100),
        "start": _seconds(segment.start),
        "end": _seconds(segment.end),
        "text": segment.written_text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": _mean_log(segment.words),
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 4),
        "no_speech_prob": 0.0,
        "confidence": _rounded(segment.confidence),
    }


def _word(word: Word) -> dict[str, Any]:
    return {
        "word": word.text,
        "start": _seconds(word.start),
        "end": _seconds(word.end),
        "confidence": _rounded(word.confidence),
    }


def _mean_log(words: Sequence[Word]) -> float:
    """Mean log confidence of the words, in nats; 0 where none is known."""
    known = [
        math.log(max(word.confidence, _LEAST_PROBABILITY))
        for word in words
        if word.confidence is not None
    ]
    return round(math.fsum(known) / len(known), 4) if known else 0.0


def _event(form: dict[str, Any], name: str | None = None) -> str:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {_json(form)}\n\n"


def _json(form: dict[str, Any]) -> str:
    return json.dumps(form, ensure_ascii=False)


def _seconds(value: float) -> float:
    return round(float(value), 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
