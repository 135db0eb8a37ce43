"""The written form of what was recognised, beside its spoken form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from asr.result import Result, Segment
from asr.written.inverse import written_tokens
from asr.written.tails import tail_end
from asr.written.tokens import WrittenToken

_KEPT = "\ufffc"
"""Stands for a word that keeps its form, and is nothing to any rule."""


def write_result(result: Result, keep: Iterable[str] = ()) -> Result:
    """The result with the written form of each segment (`Segment.written`); all else as it was.

    Args:
        result: what was recognised, or read from JSON.
        keep: words that are left as they are, with or without particles, because the user says
            how they are written.
    """
    kept = list(keep)
    segments = tuple(write_segment(segment, kept) for segment in result.segments)
    return replace(result, segments=segments)


def write_segment(segment: Segment, keep: Sequence[str] = ()) -> Segment:
    """The same of one segment."""
    words = [word.text for word in segment.timed_words()]
    plain = [_KEPT if _is_kept(word, keep) else word for word in words]
    tokens = (
        WrittenToken(words[token.first], words[token.first], token.first, token.end)
        if token.spoken == _KEPT
        else token
        for token in written_tokens(plain)
    )
    return replace(segment, written=tuple(tokens))


def _is_kept(word: str, keep: Sequence[str]) -> bool:
    """One of the user's words, which may have particles; only such words hold spaces."""
    if word.split() != [word]:
        return True
    return any(
        word.startswith(kept) and tail_end(word, len(kept), suffixes=False) == len(word)
        for kept in keep
    )
