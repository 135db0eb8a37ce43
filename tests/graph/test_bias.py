"""The automaton of user words pays what a search over the text by brute force says."""

from __future__ import annotations

import random

import numpy as np
import pytest

from asr.errors import UsageError
from asr.graph.bias import (
    BiasAutomaton,
    BiasConfig,
    bias_end,
    bias_step,
    build_bias,
    no_bias,
    score_syllables,
    unit_symbols,
)
from asr.graph.bias_words import BiasWord, make_words
from asr.lm.automaton import LmAutomaton, build_automaton, step
from asr.lm.counts import Corpus
from asr.lm.train import TrainConfig, train
from asr.lm.units import build_vocabulary, encode_lines, text_to_units

SYLLABLES = "가나다"
PLAIN = BiasConfig(joined=False)


def units_of(text: str) -> tuple[str, ...]:
    return tuple(text_to_units(text))


def walk(automaton: BiasAutomaton, text: str) -> tuple[float, list[int]]:
    """The sum of what is added over a text, and the word that ends after each syllable."""
    units = text_to_units(text)
    _, symbols = unit_symbols(units)
    state, total, ended = 0, 0.0, []
    for symbol in symbols.tolist():
        delta, state = bias_step(automaton.arrays, state, symbol)
        total += delta
        ended.append(int(automaton.arrays.word[state]))
    return total + bias_end(automaton.arrays, state), ended


class Reference:
    """What words pay, from the definition: a word's boost less what words inside it pay."""

    def __init__(self, words: list[BiasWord], anywhere: bool) -> None:
        self.boosts: dict[tuple[str, ...], float] = {}
        for word in words:
            for reading in word.readings:
                first, *rest = units_of(reading)
                forms = [(first, *rest)] + ([(first[1:], *rest)] if anywhere else [])
                for form in forms:
                    self.boosts[form] = max(word.boost or 0.0, self.boosts.get(form, -1e9))

    def own(self, word: tuple[str, ...]) -> float:
        inside = sum(self.own(other) for other in self.occurrences(word) if other != word)
        return self.boosts[word] - inside

    def occurrences(self, units: tuple[str, ...]) -> list[tuple[str, ...]]:
        spans = ((i, j) for i in range(len(units)) for j in range(i + 1, len(units) + 1))
        return [units[i:j] for i, j in spans if units[i:j] in self.boosts]

    def total(self, text: str) -> float:
        return sum(self.own(word) for word in self.occurrences(units_of(text)))


def random_text(rng: random.Random, most: int) -> str:
    syllables = [rng.choice(SYLLABLES) for _ in range(rng.randint(1, most))]
    return "".join(s + (" " if rng.random() < 0.3 else "") for s in syllables).strip()


@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_text_is_paid_the_boosts_of_its_words(seed: int, anywhere: bool) -> None:
    rng = random.Random(seed)
    texts = {random_text(rng, 5) for _ in range(rng.randint(1, 12))}
    words = [BiasWord(text, (text,), rng.choice([0.5, 3.0, 7.0, -2.0])) for text in sorted(texts)]
    automaton = build_bias(words, config=BiasConfig(joined=False, anywhere=anywhere))
    reference = Reference(words, anywhere)
    for _ in range(60):
        text = random_text(rng, 14)
        assert walk(automaton, text)[0] == pytest.approx(reference.total(text), abs=1e-4)
    for word in words:  # alone, each pays exactly its boost
        assert walk(automaton, word.written)[0] == pytest.approx(word.boost, abs=1e-4)


def test_longest_word_that_ends() -> None:
    words = make_words(["서울", "서울역", "역", "서울역 앞"], boost=1.0)
    automaton = build_bias(words, config=PLAIN)
    assert walk(automaton, "서울역 앞 역")[1] == [-1, 0, 1, 3, 2]
    assert walk(automaton, "북서울역")[1] == [-1] * 4


def steps_of(automaton: BiasAutomaton, text: str) -> list[float]:
    """What each syllable of a text adds."""
    steps, state = [], 0
    for symbol in unit_symbols(text_to_units(text))[1].tolist():
        delta, state = bias_step(automaton.arrays, state, symbol)
        steps.append(delta)
    return steps


def test_advance_is_given_before_the_word_is_complete_and_taken_back() -> None:
    automaton = build_bias(make_words(["가산역"], boost=9.0))
    assert steps_of(automaton, "가산역") == pytest.approx([3, 3, 3])
    assert steps_of(automaton, "가산에") == pytest.approx([3, 3, -6])


def test_word_with_a_space_also_matches_without_it() -> None:
    words = make_words(["강남 역"], boost=4.0)
    assert walk(build_bias(words), "강남역에서")[0] == pytest.approx(4)
    assert walk(build_bias(words), "강남 역에서")[0] == pytest.approx(4)
    assert walk(build_bias(words, config=PLAIN), "강남역에서")[0] == pytest.approx(0)


def test_words_that_are_said_alike() -> None:
    words = [BiasWord("KBS", ("케이비에스",), 1.0), BiasWord("케이비에스", ("케이비에스",), 5.0)]
    total, ended = walk(build_bias(words), "케이비에스")
    assert total == pytest.approx(5) and ended[-1] == 0


def test_no_words() -> None:
    automaton = no_bias()
    assert automaton.states == 1
    assert walk(automaton, "아무 말")[0] == 0


def test_units_of_several_syllables_have_several_symbols() -> None:
    begin, symbols = unit_symbols(["<unk>", "▁강남", "역", "A"])
    assert begin.tolist() == [0, 0, 2, 3, 3]
    assert symbols.tolist() == [2 * (ord("강") - 0xAC00) + 1, 2 * (ord("남") - 0xAC00),
                                2 * (ord("역") - 0xAC00)]  # fmt: skip


@pytest.fixture(scope="module")
def lm() -> LmAutomaton:
    lines = ["서울역에 갑니다", "서울에 삽니다", "서울역은 큽니다", "역에 갑니다"] * 3
    vocabulary = build_vocabulary(lines, 1, ["까", "뵈"])
    corpus = Corpus(encode_lines(lines, vocabulary))
    return build_automaton(train([corpus], vocabulary, TrainConfig(order=3)))


def test_scores_are_those_of_the_language_model(lm: LmAutomaton) -> None:
    texts = ["서울역", "까뵈", "서울에 갑", "훟"]
    scores = score_syllables(texts, lm)
    expected = []
    for text in texts:
        state = 0
        for unit in lm.vocabulary.encode(text):
            state, logp = step(lm, state, unit)
            expected.append(logp)
    assert scores == pytest.approx(expected, abs=1e-5)


def test_lift_makes_words_equally_likely(lm: LmAutomaton) -> None:
    config = BiasConfig(class_cost=2.0, per_word=1.0)
    words = make_words(["까뵈", "서울", "뵈까뵈까"])
    automaton = build_bias(words, lm, config, lm_scale=1.5)
    target = -(2.0 + np.log(3))
    for word, boost in zip(words, automaton.boosts.tolist(), strict=True):
        score = float(score_syllables([word.written], lm).sum())
        assert 1.5 * score + boost == pytest.approx(1.5 * max(target, score), abs=1e-4)
    assert automaton.boosts.min() > 0 and len(set(automaton.boosts.tolist())) == 3
    known = build_bias(words, lm, BiasConfig(class_cost=9.0), lm_scale=1.5)
    assert known.boosts[1] == 0
    own = build_bias(make_words(["까뵈"], boost=2.0), lm, config, lm_scale=1.5)
    plain = build_bias(make_words(["까뵈"]), lm, config, lm_scale=1.5)
    assert own.boosts[0] == pytest.approx(plain.boosts[0] + 2)


def test_lift_keeps_the_beginning_of_a_word_at_the_target(lm: LmAutomaton) -> None:
    """No beginning of a word costs more than the target, or less than it costs by itself."""
    word = "뵈까서울까"
    automaton = build_bias(make_words([word]), lm, BiasConfig(class_cost=6.0), lm_scale=1.5)
    costs = np.cumsum(-score_syllables([word], lm))
    lifted = 1.5 * costs - np.cumsum(steps_of(automaton, word))
    assert lifted == pytest.approx(1.5 * np.minimum(costs, 6.0), abs=1e-4)
    early = build_bias(make_words([word]), lm, BiasConfig(6.0, lookahead=1.0), lm_scale=1.5)
    ahead = 1.5 * np.maximum(costs[1:] - 6.0, 0)
    assert np.cumsum(steps_of(early, word)) == pytest.approx([*ahead, ahead[-1]], abs=1e-4)


def test_bad_options() -> None:
    with pytest.raises(UsageError, match="class_cost"):
        BiasConfig(class_cost=float("nan"))
    with pytest.raises(UsageError, match="lookahead"):
        BiasConfig(lookahead=1.5)


def test_ten_thousand_names_are_quick() -> None:
    import time

    rng = random.Random(1)
    syllables = [chr(0xAC00 + 28 * rng.randrange(399)) for _ in range(300)]
    names = ["".join(rng.choices(syllables, k=rng.randint(2, 7))) for _ in range(10_000)]
    build_bias(make_words(names[:10]))  # compiles
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        build_bias(make_words(names))
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.2
