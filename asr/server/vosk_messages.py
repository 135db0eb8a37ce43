"""Messages of vosk-server's WebSocket protocol: what clients send, what they are answered.

Client: ``{"config": {...}}`` before the first sound, then sound as binary messages (16-bit mono
PCM, little-endian), ``{"eof": 1}`` at the end, ``{"reset": 1}`` to begin an utterance anew. Each
binary message, ``eof`` and ``reset`` gets one answer: ``{"partial": ...}``, or a result.
https://github.com/alphacep/vosk-server (websocket/asr_server.py) is what clients were written for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asr.errors import UsageError
from asr.result import MOST_ALTERNATIVES, Segment, Word

UNKNOWN = "[unk]"
"""In a phrase list: anything else may be said, and comes out as this."""
MOST_PHRASE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """What a client may choose.

    Attributes:
        sample_rate: of its sound, in Hz.
        phrases: all that may be said; empty: anything.
        unknown: what is none of the phrases comes out as `UNKNOWN`.
        words: results tell of each word.
        alternatives: texts of each result; 0: the best, in another form.
    """

    sample_rate: int
    phrases: tuple[str, ...] = ()
    unknown: bool = False
    words: bool = True
    alternatives: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """A text message that was understood; ``config`` where it is one."""

    name: str
    config: StreamConfig | None = None


def parse_command(text: str, current: StreamConfig, most_phrases: int) -> Command:
    """Read a text message.

    Args:
        text: the message.
        current: what was chosen so far.
        most_phrases: the longest phrase list.

    Raises:
        UsageError: it is not JSON, or not of this protocol.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError("a text message must be JSON") from error
    if isinstance(message, dict):
        if "config" in message:
            return Command("config", _config(message["config"], current, most_phrases))
        for name in ("eof", "reset"):
            if message.get(name):
                return Command(name)
    raise UsageError('a text message must be {"config": {...}}, {"eof": 1} or {"reset": 1}')


def _config(fields: Any, current: StreamConfig, most_phrases: int) -> StreamConfig:
    if not isinstance(fields, dict):
        raise UsageError("config must be an object")
    phrases, unknown = current.phrases, current.unknown
    if (listed := fields.get("phrase_list")) is not None:
        phrases, unknown = _phrases(listed, most_phrases)
    alternatives = _whole(fields, "max_alternatives", current.alternatives)
    return StreamConfig(
        sample_rate=_whole(fields, "sample_rate", current.sample_rate),
        phrases=phrases,
        unknown=unknown,
        words=bool(fields.get("words", current.words)),
        alternatives=min(max(alternatives, 0), MOST_ALTERNATIVES),
    )


def _whole(fields: dict[str, Any], name: str, default: int) -> int:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise UsageError(f"{name} must be a number, not {value!r}")
    return round(value)


def _phrases(listed: Any, most: int) -> tuple[tuple[str, ...], bool]:
    if not isinstance(listed, list) or not all(isinstance(phrase, str) for phrase in listed):
        raise UsageError("phrase_list must be a list of strings")
    if len(listed) > most:
        raise UsageError(f"phrase_list has {len(listed)} phrases, more than {most}")
    phrases = [" ".join(phrase.split()) for phrase in listed]
    if any(len(phrase) > MOST_PHRASE_CHARACTERS for phrase in phrases):
        raise UsageError(f"a phrase is longer than {MOST_PHRASE_CHARACTERS} characters")
    kept = [phrase for phrase in dict.fromkeys(phrases) if phrase and phrase != UNKNOWN]
    if phrases and not kept:
        raise UsageError("phrase_list holds no phrase")
    return tuple(kept), UNKNOWN in phrases


def grammar_text(phrases: Sequence[str]) -> str:
    """A phrase list as a grammar (docs/grammar.md): a phrase a line, no sign special.

    >>> print(grammar_text(["불 켜 줘", "KBS"]))
    "불 켜 줘"
    "KBS"
    """
    return "\n".join('"' + phrase.replace('"', " ") + '"' for phrase in phrases)


def partial_message(text: str) -> str:
    """What is heard so far and may change."""
    return _dump({"partial": text})


def error_message(text: str) -> str:
    """Why the stream ends; vosk-server only closes."""
    return _dump({"error": text})


def result_message(segments: Sequence[Segment], config: StreamConfig) -> str:
    """Segments that became final, as one result."""
    kept = [segment for segment in segments if segment.text or segment.rejected]
    text = " ".join(filter(None, (_text(segment, config) for segment in kept)))
    words = [_word(word) for segment in kept for word in segment.written_words()]
    if config.alternatives:
        return _dump({"alternatives": _alternatives(kept, text, words, config)})
    if config.words and words:
        return _dump({"result": words, "text": text})
    return _dump({"text": text})


def _alternatives(
    segments: Sequence[Segment], text: str, words: list[dict[str, Any]], config: StreamConfig
) -> list[dict[str, Any]]:
    """Of one segment its alternatives; of several that became final at once only the best."""
    known = [segment.confidence for segment in segments if segment.confidence is not None]
    best: dict[str, Any] = {"confidence": round(min(known, default=1.0), 4), "text": text}
    others: list[dict[str, Any]] = []
    if len(segments) == 1 and segments[0].alternatives:
        first, *rest = segments[0].alternatives
        best["confidence"] = round(first.confidence, 4)
        others = [{"confidence": round(other.confidence, 4), "text": other.text} for other in rest]
    if config.words and words:
        best["result"] = words
    return [best, *others[: config.alternatives - 1]]


def _text(segment: Segment, config: StreamConfig) -> str:
    return UNKNOWN if segment.rejected and config.unknown else segment.written_text


def _word(word: Word) -> dict[str, Any]:
    return {
        "conf": round(1.0 if word.confidence is None else word.confidence, 6),
        "end": round(word.end, 3),
        "start": round(word.start, 3),
        "word": word.text,
    }


def _dump(form: dict[str, Any]) -> str:
    return json.dumps(form, ensure_ascii=False, indent=2)
