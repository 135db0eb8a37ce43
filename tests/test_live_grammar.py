"""A grammar followed live: partial texts are beginnings of its phrases, or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from asr import Model, load_audio
from asr.data_files import shipped
from asr.graph.grammar import parse_grammar
from asr.live import LiveConfig
from asr.result import Result

RATE = 16_000


def followed(model: Model, grammar: str, again: bool = True) -> tuple[list[str], Result]:
    sound = load_audio(shipped("samples") / "human-digits-6789.flac", RATE).samples
    stream = model.with_grammar(parse_grammar(grammar)).stream(live=LiveConfig(again=again))
    texts = []
    for begin in range(0, len(sound), 1600):
        stream.accept(sound[begin : begin + 1600])
        texts.append(stream.partial().text)
    return texts, stream.finish()


@pytest.mark.parametrize("again", [True, False])
def test_partials_are_beginnings_of_its_phrases(model: Model, again: bool) -> None:
    phrases = ("여섯 일곱 여덟 아홉", "여섯 시 알람", "불 켜 줘")
    texts, result = followed(model, "\n".join(phrases), again)
    assert result.text == phrases[0] and not result.rejected
    shown = [text for text in dict.fromkeys(texts) if text]
    assert len(shown) >= 3  # it grows while it is spoken
    for text in shown:
        said = text.replace(" ", "")
        assert any(phrase.replace(" ", "").startswith(said) for phrase in phrases), text


def test_what_it_does_not_hold_is_not_shown(model: Model) -> None:
    texts, result = followed(model, "서울역 근처 맛집 찾아 줘\n불 켜 줘")
    assert not any(texts)
    assert result.rejected and result.text == ""


def test_without_sound_nothing_is_shown(model: Model) -> None:
    stream = model.with_grammar(parse_grammar("불 켜 줘")).stream(live=True)
    stream.accept(np.zeros(2 * RATE, np.float32))
    assert stream.partial().text == "" and stream.finish().segments == ()
