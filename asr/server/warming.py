"""What a service does before it answers anybody: all that is slow only the first time."""

from __future__ import annotations

import contextlib

from asr.audio import load_audio
from asr.data_files import shipped
from asr.errors import UsageError
from asr.graph.grammar import parse_grammar
from asr.server.service import Service

SOUND = "human-digits-6789.flac"
"""Speech: what is not would be left out before the search."""
PHRASES = "여섯 일곱 여덟 아홉 | 영"
QUERY = "서울역 근처"


def warm_up(service: Service) -> None:
    """Have everything loaded and compiled that requests need, so that none of them waits for it.

    A recording is recognised as an upload, as a live stream and by a phrase list, and the
    catalogue is searched. `/healthz` is answered afterwards.
    """
    model, config = service.model, service.config
    speech = load_audio(shipped("samples") / SOUND, model.sample_rate).samples
    model.transcribe(
        speech, sample_rate=model.sample_rate, nbest=2, written=config.written,
        punctuation=config.punctuation,
    )  # fmt: skip
    views = [model]
    with contextlib.suppress(UsageError):  # with user words nobody can have phrases
        views.append(model.with_grammar(parse_grammar(PHRASES)))
    for view in views:
        stream = view.stream(live=True)
        stream.accept(speech)
        stream.partial()
        stream.finish()
    if service.catalogue is not None:
        service.catalogue.searcher.search(QUERY, 1)
