"""Distances: kaldialign's where costs are units, and what the costs are for."""

import kaldialign
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.hangul.phones import PHONES
from asr.search.config import SearchConfig
from asr.search.costs import phonetic_costs, unit_costs
from asr.search.distance import Line, best_stretch, distance
from asr.search.hypotheses import hypotheses
from asr.search.phonetic import CLASS_OF, NUM_CLASSES, NUMBER, phones_of
from asr.search.query_graph import query_graph

FREE = SearchConfig(inside_cost=0, cut_cost=0, particle_cost=0, join_cost=0, carrier_cost=0)
SOUNDS = st.lists(st.integers(0, len(PHONES) - 1), min_size=1, max_size=9)
SYLLABLES = st.text(
    st.sampled_from("가나다라마바사아자차카타파하각난달람합옷꽃씨"), min_size=1, max_size=6
)


def line(phones, edges=0.0):
    zeros = np.full(len(phones), edges, np.float32)
    return Line(np.array(phones, np.uint8), zeros, zeros, np.zeros(len(phones), np.float32))


@settings(deadline=None)
@given(SOUNDS, SOUNDS)
def test_infix_distance_is_the_least_over_all_stretches(query, entry):
    found = best_stretch(line(query), np.array(entry, np.uint8), unit_costs())
    stretches = [
        (begin, end) for begin in range(len(query)) for end in range(begin + 1, len(query) + 1)
    ]
    each = {
        pair: kaldialign.edit_distance(query[slice(*pair)], entry)["total"] for pair in stretches
    }
    assert found.distance == min(each.values())
    assert each[found.begin, found.end] == found.distance


@settings(deadline=None)
@given(SOUNDS, SOUNDS)
def test_whole_distance_where_edges_are_dear(query, entry):
    """A stretch that may begin and end only at the ends is the whole text: Levenshtein's."""
    whole = line(query)
    start, end = np.full((2, len(query)), np.inf, np.float32)
    start[0] = end[-1] = 0.0
    whole = whole._replace(start=start, end=end)
    found = best_stretch(whole, np.array(entry, np.uint8), unit_costs())
    assert found.distance == kaldialign.edit_distance(query, entry)["total"]


@settings(deadline=None)
@given(st.lists(SYLLABLES, min_size=1, max_size=5), SYLLABLES)
def test_the_graph_of_texts_is_as_near_as_the_nearest_text(texts, name):
    weighted = [(text, 0.5**place) for place, text in enumerate(texts)]
    config = SearchConfig(text_scale=0.0)
    each = [
        distance(query_graph(hypotheses(text), config), phones_of(name), phonetic_costs())
        for text in texts
    ]
    graph = query_graph(hypotheses(weighted), config)
    assert distance(graph, phones_of(name), phonetic_costs()) == min(each)


def test_less_likely_texts_cost_more():
    query = [("강남역", 0.9), ("강남녁", 0.1), ("서울숲", 0.05)]
    graph = query_graph(hypotheses(query), SearchConfig(text_scale=1.0))
    costs = phonetic_costs()
    assert distance(graph, phones_of("강남역"), costs) == 0
    assert distance(graph, phones_of("서울숲"), costs) == pytest.approx(np.log(18), abs=0.13)


def test_spaces_and_edges_cost():
    config = SearchConfig(inside_cost=3, cut_cost=2, particle_cost=0.5, join_cost=1)

    def of(query, name):
        graph = query_graph(hypotheses(query), config)
        return distance(graph, phones_of(name), phonetic_costs())

    assert of("서울역", "서울역") == 0
    assert of("서울역까지", "서울역") == 0.5
    assert of("서울역부근", "서울역") == 2
    assert of("우리광화문", "광화문") == 3
    assert of("가산 디지털", "가산디지털") == 1


@pytest.mark.parametrize("near, far", [
    ("e", "i"), ("e", "a"), ("ae", "o"),
])
def test_merged_vowels_are_nearest(near, far):
    costs = phonetic_costs().substitute
    assert costs[NUMBER["ae"], NUMBER[near]] < costs[NUMBER["ae"], NUMBER[far]]


@pytest.mark.parametrize("meant, heard, other", [
    ("대게", "데게", "두게"),        # ㅐ/ㅔ
    ("굴", "꿀", "물"),             # lenis and tense
    ("달", "탈", "살"),             # lenis and aspirated
    ("꽃이", "꼬치", "꼬리"),         # a coda that moves on
    ("박", "밖", "밤"),             # one coda after neutralisation
    ("외계", "왜게", "위기"),         # ㅚ/ㅙ
    ("서울역", "서울력", "서울병"),    # ㄴ added
])  # fmt: skip
def test_what_sounds_alike_is_near(meant, heard, other):
    def of(query):
        return distance(query_graph(hypotheses(query), FREE), phones_of(meant), phonetic_costs())

    assert of(heard) < of(other)


def test_costs_make_sense():
    costs = phonetic_costs()
    assert (costs.substitute == costs.substitute.T).all()
    assert (np.diag(costs.substitute) == 0).all()
    off = costs.substitute[~np.eye(len(PHONES), dtype=bool)]
    assert off.min() > 0 and min(costs.insert.min(), costs.delete.min()) > 0
    assert set(CLASS_OF.tolist()) == set(range(NUM_CLASSES))
    within = (CLASS_OF[:, None] == CLASS_OF[None, :]) & ~np.eye(len(PHONES), dtype=bool)
    assert costs.substitute[within].max() <= 2.0
