"""Choosing among the N best texts: what is added to which score, and who is asked about which."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from asr.decoder.lattice import Hypothesis
from asr.decoder.path import DecodedUnit
from asr.decoder.rescoring import Rescorer, RescoringConfig, text_of
from asr.errors import UsageError
from asr.lm.units import EOJEOL_MARK


class _Morphemes:
    def __init__(self, scores: dict[str, float]) -> None:
        self._scores = scores

    def score(self, text: str) -> float:
        return self._scores.get(text, 0.0)


def hypothesis(text: str, score: float, lm: float = 0.0) -> Hypothesis:
    units = tuple(
        DecodedUnit(EOJEOL_MARK + letter if not place else letter, 0, place, place + 1)
        for place, letter in enumerate(text)
    )
    return Hypothesis(units, score, score - lm, lm, 0.0)


FOUND = [hypothesis("가", -1.0), hypothesis("나", -2.0), hypothesis("다", -4.0),
         hypothesis("라", -9.0)]  # fmt: skip


def rescored(
    listen: dict[str, float | None] | None, **options: float
) -> tuple[list[tuple[str, float]], list[str]]:
    """Texts with their scores, and the texts that were asked about."""
    asked: list[str] = []

    def told(texts: Sequence[str]) -> list[float | None]:
        asked.extend(texts)
        return [(listen or {})[text] for text in texts]

    options = {"morph_scale": 0.0, "lm_change": 0.0, **options}
    model = _Morphemes({})
    rescorer = Rescorer(RescoringConfig(**options), lambda: model)  # type: ignore[arg-type, return-value]
    found = rescorer.rescored(FOUND, None if listen is None else told)
    return [(text_of(one), one.score) for one in found], asked


def test_the_morphemes_and_the_language_model_share_the_work() -> None:
    model = _Morphemes({"나": -1.0, "가": -3.0})
    rescorer = Rescorer(RescoringConfig(morph_scale=0.5, lm_change=-0.2), lambda: model)  # type: ignore[arg-type, return-value]
    found = rescorer.rescored([hypothesis("가", -1.0, lm=-5.0), hypothesis("나", -1.5, lm=-2.0)])
    assert [(text_of(one), pytest.approx(one.score)) for one in found] == [
        ("가", -1.0 + 1.0 - 1.5), ("나", -1.5 + 0.4 - 0.5)
    ]  # fmt: skip


def test_the_best_are_listened_for() -> None:
    told = {"가": -9.0, "나": -3.0, "다": -8.0}
    found, asked = rescored(told, attention_scale=0.5, attention_margin=5.0)
    assert asked == ["가", "나", "다"]
    assert found == [("나", -3.5), ("가", -5.5), ("다", -8.0), ("라", -13.5)]


def test_nobody_is_asked_where_there_is_no_doubt() -> None:
    for listen, options in (
        ({}, {"attention_scale": 1.0, "attention_margin": 0.5}),
        ({}, {"attention_scale": 0.0}),
        (None, {"attention_scale": 1.0}),
    ):
        found, asked = rescored(listen, **options)
        assert asked == [] and [text for text, _ in found] == ["가", "나", "다", "라"]
        assert found[0][1] == -1.0


def test_no_more_are_asked_about_than_it_says() -> None:
    told = {"가": -1.0, "나": -1.0}
    assert rescored(told, attention_scale=1.0, attention_count=2)[1] == ["가", "나"]


def test_what_cannot_be_judged_is_as_the_worst_that_was() -> None:
    told: dict[str, float | None] = {"가": None, "나": -3.0, "다": -2.5}
    found, _ = rescored(told, attention_scale=1.0)
    assert found == [("가", -4.0), ("나", -5.0), ("다", -6.5), ("라", -12.0)]
    unheard: dict[str, float | None] = {"가": None, "나": None, "다": None}
    assert rescored(unheard, attention_scale=1.0)[0][0] == ("가", -1.0)


@pytest.mark.parametrize(
    "options",
    [{"attention_scale": -1.0}, {"attention_scale": float("nan")}, {"attention_margin": -0.1},
     {"attention_margin": float("nan")}, {"attention_count": 1}, {"attention_count": 2.0},
     {"attention_count": 100_000}],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="attention"):
        RescoringConfig(**options)  # type: ignore[arg-type]
