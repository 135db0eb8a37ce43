"""Texts judged by one who hears the sound: in which spellings, and at which rate."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from asr import listening as room
from asr.audio import from_array, load_audio
from asr.data_files import shipped
from asr.listening import listening

TEXTS = ["여섯 일곱 여덟 아홉", "여섯 살 때고 나다이 아홉"]


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    return load_audio(shipped("samples") / "human-digits-6789.flac", 16_000).samples


def scorer(rate: int) -> SimpleNamespace:
    """Of a model on other features than an encoder's."""
    return SimpleNamespace(device=torch.device("cpu"), sample_rate=rate, front_end=None)


def test_a_text_is_spelled_as_spoken_and_with_its_numbers_in_digits(monkeypatch) -> None:
    asked = []

    class Judge:
        sample_rate = 16_000

        def log_probabilities(self, texts, samples, front_end, feats):
            asked.extend(texts)
            return [None] * len(texts)

    monkeypatch.setattr(room, "listener", lambda device: Judge())
    texts = ["그러나 아직", "오후 세 시 반", "삼천오백 원"]
    assert listening(scorer(16_000), np.zeros(9, np.float32))(texts) == [None] * 3
    assert asked == [["그러나 아직"], ["오후 세 시 반", "오후 3시 30분"], ["삼천오백 원", "3500원"]]


def test_telephone_speech_is_heard_at_the_rate_of_the_encoder(sound: np.ndarray) -> None:
    narrow = from_array(sound, 16_000, 8_000).samples
    wide = listening(scorer(16_000), from_array(narrow, 8_000, 16_000).samples)(TEXTS)
    assert listening(scorer(8_000), narrow)(TEXTS) == wide
    assert wide[0] > wide[1]
