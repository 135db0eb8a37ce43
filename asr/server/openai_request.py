"""What a form of `POST /v1/audio/transcriptions` asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile

from asr.errors import UsageError
from asr.graph.bias_words import BiasWord, make_words
from asr.server.config import ServerConfig
from asr.server.errors import ApiError
from asr.server.uploads import sound_file

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
GRANULARITIES = ("segment", "word")
_KOREAN = frozenset({"ko", "kor", "korean", "ko-kr"})
_TRUE = frozenset({"true", "1", "yes", "on"})
_PROMPT_MARKS = re.compile(r"[,;、，·\n\r\t.!?…]+")
MOST_PROMPT_EOJEOL = 3
"""Longer pieces of a prompt are sentences, not names and terms."""


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """A request that makes sense.

    Attributes:
        file: the upload.
        response_format: one of `FORMATS`.
        granularities: what verbose_json tells of.
        words: that the user expects: ``keywords``, and what in ``prompt`` looks like a list.
        stream: events are sent as segments become final.
    """

    file: UploadFile
    response_format: str
    granularities: frozenset[str]
    words: tuple[BiasWord, ...]
    stream: bool


def parse_form(form: FormData, config: ServerConfig) -> TranscriptionRequest:
    """Check a form.

    Raises:
        ApiError: 400, with the parameter that is wrong.
    """
    file = sound_file(form)
    if not _text(form, "model"):
        raise ApiError(400, "you must provide a model parameter (any name will do)", param="model")
    _check_language(form)
    _check_temperature(form)
    chosen = _text(form, "response_format") or "json"
    if chosen not in FORMATS:
        raise ApiError(400, f"response_format must be one of {', '.join(FORMATS)}, not {chosen!r}",
                       param="response_format")
    granularities = frozenset(_texts(form, "timestamp_granularities"))
    if granularities - set(GRANULARITIES):
        raise ApiError(400, "timestamp_granularities are word and segment",
                       param="timestamp_granularities")
    if granularities and chosen != "verbose_json":
        raise ApiError(400, "timestamp_granularities need response_format verbose_json",
                       param="timestamp_granularities")
    if _texts(form, "include"):
        raise ApiError(400, "include is not supported: verbose_json tells confidences",
                       param="include")
    stream = _text(form, "stream").lower() in _TRUE
    if stream and chosen not in ("json", "text"):
        raise ApiError(400, "stream needs response_format json or text", param="stream")
    words = (*_keywords(form, config), *prompt_words(_text(form, "prompt"), config.phrases))
    return TranscriptionRequest(
        file, chosen, granularities or frozenset({"segment"}), words, stream
    )


def prompt_words(prompt: str, most: int) -> tuple[BiasWord, ...]:
    """Names and terms in a prompt: its pieces between marks that can be read aloud and are short.

    OpenAI's models take a prompt as the text that went before; what callers put there to help are
    mostly lists of names. Sentences in it are left out.

    >>> [word.written for word in prompt_words("가산디지털단지역, KBS, 하던 말을 또 해 보자.", 9)]
    ['가산디지털단지역', 'KBS']
    """
    words: list[BiasWord] = []
    for piece in dict.fromkeys(_PROMPT_MARKS.split(prompt)):
        if 0 < len(piece.split()) <= MOST_PROMPT_EOJEOL and len(words) < most:
            try:
                words += make_words([piece])
            except UsageError:  # no rule reads it: a prompt may hold anything
                continue
    return tuple(words)


def _keywords(form: FormData, config: ServerConfig) -> tuple[BiasWord, ...]:
    listed = _texts(form, "keywords")
    if len(listed) > config.phrases:
        raise ApiError(400, f"more than {config.phrases} keywords", param="keywords")
    try:
        return make_words(listed)
    except UsageError as error:
        raise ApiError(400, str(error), param="keywords") from error


def _check_language(form: FormData) -> None:
    languages = [_text(form, "language"), *_texts(form, "languages")]
    asked = {language.lower() for language in languages if language}
    if asked and not asked & _KOREAN:
        raise ApiError(400, "this service recognises Korean (ko) only", param="language",
                       code="unsupported_language")


def _check_temperature(form: FormData) -> None:
    text = _text(form, "temperature")
    try:
        sensible = not text or 0.0 <= float(text) <= 1.0
    except ValueError:
        sensible = False
    if not sensible:
        raise ApiError(400, "temperature must be a number from 0 to 1 (it changes nothing here)",
                       param="temperature")


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    if not isinstance(value, str):
        raise ApiError(400, f"{name} must be text, not a file", param=name)
    return value.strip()


def _texts(form: FormData, name: str) -> Sequence[str]:
    """The values of a list, with and without the brackets that OpenAI's client writes."""
    values = [*form.getlist(f"{name}[]"), *form.getlist(name)]
    return [value.strip() for value in values if isinstance(value, str) and value.strip()]
