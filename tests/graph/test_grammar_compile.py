"""The automaton of a grammar accepts exactly the grammar's language, and its chances sum to one."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import DataError
from asr.graph import grammar_network
from asr.graph.grammar import CompiledGrammar, parse_grammar
from asr.graph.grammar_compile import NEVER
from asr.graph.grammar_nodes import (
    NOTHING,
    Choice,
    Entries,
    Literal,
    Node,
    Particle,
    Sequence,
    Slot,
    Space,
    ending,
    syllables_of,
)  # fmt: skip
from asr.graph.hcl import NUM_NODES
from asr.graph.lookahead import STEP, unit_nodes
from asr.lm.automaton import LmAutomaton, score_sentence
from asr.lm.units import EOJEOL_MARK, SPECIALS, Vocabulary, ksx1001_syllables, text_to_units

SYLLABLES = ksx1001_syllables()
VOCABULARY = Vocabulary((*SPECIALS, *(EOJEOL_MARK + s for s in SYLLABLES), *SYLLABLES))
GRAMMARS = (
    "안녕",
    "$도시 = 서울 | 부산 | 제주도\n$도시{으로} [빨리] 가 (줘 | 자)\n$도시 날씨",
    "$x = 책 | 나무 | 물\n$x{을}?{은} 줘\n$x{이랑} $x",
    "가 나 다\n가나 다라\n가 (나|나다) 다",
    "<number 1-30>시 [<number 0-12>분]",
    "<number 0-120>번",
    "<digits 1-2>번 | KBS",
    "(가|가가)[가][가]{야}",
)


def language(node: Node) -> set[str]:
    """All that a small grammar says, by plain enumeration; 을 or 를 is chosen in the whole."""
    return {said for said in _strings(node, {""}) if said}


def _strings(node: Node, before: set[str]) -> set[str]:
    if isinstance(node, Literal):
        return {b + syllables_of(node.spoken) for b in before}
    if isinstance(node, Space):
        return before
    if isinstance(node, Particle):
        return {b + node.form(ending(b[-1])) for b in before}
    if isinstance(node, Entries):
        return {b + syllables_of(entry.spoken) for b in before for entry in node.words}
    if isinstance(node, Choice):
        return set().union(*(_strings(option, before) for option in node.options))
    if isinstance(node, Slot):
        return _strings(node.body, before)
    assert isinstance(node, Sequence)
    for item in node.items:
        before = _strings(item, before)
    return before


def paths(lm: LmAutomaton) -> dict[tuple[str, ...], float]:
    """All unit sequences with a finite score, with their log-probabilities, by walking the arcs."""
    found: dict[tuple[str, ...], float] = {}
    waiting = [(lm.start_state, (), 0.0)]
    while waiting:
        state, units, logp = waiting.pop()
        for arc in range(lm.arc_begin[state], lm.arc_begin[state + 1]):
            unit = lm.vocabulary.units[lm.arc_word[arc]]
            total = logp + float(lm.arc_logp[arc])
            assert total > NEVER / 2
            if lm.arc_word[arc] == lm.eos:
                assert units not in found
                found[units] = total
            else:
                waiting.append((int(lm.arc_next[arc]), (*units, unit), total))
    return found


@pytest.mark.parametrize("text", GRAMMARS)
def test_accepts_the_language_and_nothing_else(text: str) -> None:
    grammar = parse_grammar(text)
    compiled = grammar.compile(VOCABULARY)
    compiled.lm._check()
    expected = language(grammar.root)
    sentences = {syllables_of("".join(units)) for units in spellings(compiled)}
    assert sentences == expected
    assert all(grammar.parse(sentence) is not None for sentence in expected)


def spellings(compiled: CompiledGrammar) -> set[tuple[str, ...]]:
    """One sequence of units for each phrase: spaces only before its first syllable."""
    lm = compiled.lm
    found, waiting = set(), [(lm.start_state, ())]
    while waiting:
        state, units = waiting.pop()
        for arc in range(lm.arc_begin[state], lm.arc_begin[state + 1]):
            unit = lm.vocabulary.units[lm.arc_word[arc]]
            if lm.arc_word[arc] == lm.eos:
                found.add(units)
            elif units == () or not unit.startswith(EOJEOL_MARK):
                waiting.append((int(lm.arc_next[arc]), (*units, unit)))
    return found


@pytest.mark.parametrize("text", GRAMMARS[:4])
def test_any_spacing_is_heard_and_chances_sum_to_one(text: str) -> None:
    grammar = parse_grammar(text)
    found = paths(grammar.compile(VOCABULARY).lm)
    assert sum(math.exp(logp) for logp in found.values()) == pytest.approx(1.0, abs=1e-4)
    for sentence in language(grammar.root):
        spaced = sum(syllables_of("".join(units)) == sentence for units in found)
        assert spaced == 2 ** (len(sentence) - 1)


def test_the_written_spacing_is_the_likeliest() -> None:
    lm = parse_grammar("알려 줘\n서울역 가자").compile(VOCABULARY).lm
    scores = {
        text: score_sentence(lm, VOCABULARY.encode(text))
        for text in ("알려 줘", "알려줘", "알 려 줘", "서울역 가자", "서울 역 가자")
    }
    assert scores["알려 줘"] > scores["알려줘"] > scores["알 려 줘"]
    assert scores["서울역 가자"] > scores["서울 역 가자"]


def test_alternatives_are_as_likely_as_their_weights() -> None:
    lm = parse_grammar("서울 @ 3 | 부산\n대구 @ 4").compile(VOCABULARY).lm
    chance = {
        name: math.fsum(math.exp(logp) for units, logp in paths(lm).items()
                        if syllables_of("".join(units)) == name)
        for name in ("서울", "부산", "대구")
    }  # fmt: skip
    assert chance == pytest.approx({"서울": 0.15, "부산": 0.05, "대구": 0.8}, abs=1e-6)
    names = parse_grammar("<number 1-9 sino>").compile(VOCABULARY).lm
    assert all(math.exp(p) == pytest.approx(1 / 9, abs=1e-6) for p in paths(names).values())


WORDS = st.sampled_from(["가", "나무", "책", "물", "가나", "무가"])
PARTS = st.recursive(
    WORDS,
    lambda part: st.one_of(
        st.lists(part, min_size=2, max_size=3).map(" ".join),
        st.lists(part, min_size=2, max_size=3).map(lambda options: f"({' | '.join(options)})"),
        part.map(lambda inner: f"[{inner}] 끝"),
        part.map(lambda inner: f"({inner}){{을}}"),
        part.map(lambda inner: f"<s: {inner}>(으)로"),
    ),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=3).map("\n".join), st.randoms())
def test_random_grammars(text: str, random: Random) -> None:
    grammar = parse_grammar(text)
    compiled = grammar.compile(VOCABULARY)
    expected = language(grammar.root)
    assert {syllables_of("".join(units)) for units in spellings(compiled)} == expected
    for sentence in sorted(expected)[:5]:
        spaced = "".join(c + random.choice(["", " "]) for c in sentence)
        units = VOCABULARY.encode(spaced)
        assert score_sentence(compiled.lm, units) > NEVER / 2
        other = list(sentence)
        random.shuffle(other)
        wrong = "".join(other[: random.randint(1, len(other))])
        inside = wrong in expected
        assert (score_sentence(compiled.lm, VOCABULARY.encode(wrong)) > NEVER / 2) == inside
        assert (grammar.parse(wrong) is not None) == inside


def test_lookahead_is_the_best_arc_of_each_state() -> None:
    compiled = parse_grammar(GRAMMARS[1]).compile(VOCABULARY)
    lm, nodes = compiled.lm, unit_nodes(VOCABULARY.units)
    assert compiled.row.dtype == np.int32 and compiled.row.shape == (lm.states,)
    assert compiled.table.dtype == np.uint8 and compiled.table.shape[1] == NUM_NODES
    assert (compiled.table[compiled.row[0]] == 255).all()
    for state in range(1, lm.states):
        best = np.full(NUM_NODES, -np.inf)
        for arc in range(lm.arc_begin[state], lm.arc_begin[state + 1]):
            above = [0] if lm.arc_word[arc] == lm.eos else nodes[lm.arc_word[arc]].tolist()
            for node in above:
                best[node] = max(best[node], lm.arc_logp[arc])
        table = -STEP * compiled.table[compiled.row[state]].astype(float)
        possible = best > -25
        assert np.abs(table - best)[possible].max() <= STEP / 2 + 1e-5
        assert (compiled.table[compiled.row[state]][~possible] == 255).all()
    assert len(np.unique(compiled.table, axis=0)) == len(compiled.table)


def test_ten_thousand_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    names = {"".join(rng.choice(SYLLABLES[:300], rng.integers(2, 6))) for _ in range(10_000)}
    (tmp_path / "names.txt").write_text("\n".join(sorted(names)), encoding="utf-8")
    text = "<이름: file names.txt>에게 전화\n<이름: file names.txt>{을} 찾아 줘"
    grammar = parse_grammar(text, folder=tmp_path)
    lm = grammar.compile(VOCABULARY).lm
    lm._check()
    for name in sorted(names)[::997]:
        match = grammar.parse(name + "에게전화")
        assert match is not None and match.slots == {"이름": name}
        assert score_sentence(lm, VOCABULARY.encode(name + "에게 전화")) > NEVER / 2
        assert score_sentence(lm, VOCABULARY.encode(name + "에겐 전화")) < NEVER / 2


def test_units_and_text_agree() -> None:
    grammar = parse_grammar("KBS{를} 켜 줘")
    units = text_to_units("케이비에스를 켜줘")
    assert grammar.parse(units) == grammar.parse("케이비에스를 켜줘")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("안녕\n뷁꿹", "line 2: .*뷁|line 2: .*꿹"),
        ("안녕\n[가]{을} 줘", "line 2: .*no word before"),
        ("[가]" * 8_000, "grows too large"),
        ("\n".join(f"$a{i} = $a{i + 1} $a{i + 1} $a{i + 1} $a{i + 1} $a{i + 1}" for i in range(10))
         + "\n$a10 = 가 | 나 | 다\n$a0", "grows too large"),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_network, "MOST_STATES", 30_000)  # the true limits take seconds
    monkeypatch.setattr(grammar_network, "MOST_STEPS", 300_000)
    with pytest.raises(DataError, match=message):
        parse_grammar(text).compile(VOCABULARY)


def test_pieces_follow_each_other() -> None:
    match = parse_grammar("<number 1-99>번 버스 3시에 와").parse("이십이번버스세시에와")
    assert match is not None
    assert [piece.text for piece in match.pieces] == ["22번", "버스", "3시에", "와"]
    assert all(left.end == right.begin for left, right in pairwise(match.pieces))


def test_nothing_is_an_ending() -> None:
    assert NOTHING not in {ending(syllable) for syllable in SYLLABLES}
