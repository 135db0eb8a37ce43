"""The service has done all that is slow the first time before it answers anybody."""

from __future__ import annotations

import pytest

from asr import Model
from asr.search import Catalog, Entry, Index
from asr.segment_recognizer import SegmentRecognizer
from asr.server.app import create_app
from asr.server.config import ServerConfig
from asr.server.service import Service
from asr.server.warming import warm_up


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the recogniser told."""
    texts: list[str] = []
    tell = SegmentRecognizer.told

    def noted(self, *arguments):
        segment = tell(self, *arguments)
        texts.append("" if segment is None else segment.text)
        return segment

    monkeypatch.setattr(SegmentRecognizer, "told", noted)
    return texts


def test_speech_goes_all_the_ways_that_requests_go(model: Model, told: list[str]) -> None:
    index = Index.build(Catalog([Entry("서울역"), Entry("시청")]))
    app = create_app(model, ServerConfig(punctuation=True), index=index)
    warm_up(app.state.service)
    app.state.service.pool.close()
    upload, *live, phrase = told
    assert upload and any(live)
    assert phrase in ("", "여섯 일곱 여덟 아홉")


def test_a_service_with_user_words_has_no_phrases_to_warm(
    model: Model, told: list[str]
) -> None:
    service = Service(model.add_words(["가산디지털단지역"]), ServerConfig())
    warm_up(service)
    service.pool.close()
    assert any(told)
