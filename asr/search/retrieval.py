"""From what was asked to ranked entries with the probability that each was meant."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.search.calibration import calibrated
from asr.search.candidates import best_entries
from asr.search.config import SearchConfig
from asr.search.costs import Costs, phonetic_costs
from asr.search.distance import Line, best_stretch
from asr.search.hypotheses import Hypothesis, hypotheses, intent, tokens
from asr.search.index import Index
from asr.search.phonetic import phones_of_surface
from asr.search.query_graph import query_graph, text_cost
from asr.search.result import Hit, SearchResult

_SAME = 0.02
"""Distances that differ by less are the same."""

Query = str | Iterable[tuple[str, float]]
"""A text, or several with their shares of the probability."""


class Found(NamedTuple):
    """An entry that fits a query, before it is told."""

    entry: int
    evidence: float
    hypothesis: Hypothesis
    begin: int
    end: int


def search(index: Index, query: Query, config: SearchConfig | None = None) -> SearchResult:
    """The entries that fit a query best.

    Args:
        index: of the catalogue.
        query: what was typed, or texts with their shares, as a recogniser's N best.

    Raises:
        UsageError: a query that makes no sense.
    """
    return Searcher(index, config).search(query)


class Searcher:
    """An index with options, for many queries. Immutable: threads may share it."""

    def __init__(
        self, index: Index, config: SearchConfig | None = None, costs: Costs | None = None
    ) -> None:
        self.index = index
        self.config = config or SearchConfig()
        self.costs = costs or phonetic_costs()

    def search(self, query: Query, count: int = 0) -> SearchResult:
        """As :func:`search`; ``count`` hits at most, 0: as many as the options say."""
        texts = hypotheses(query)
        text = texts[0].text if texts else ""
        return SearchResult(text, self.hits(self.find(texts, count)))

    def find(self, texts: Sequence[Hypothesis], count: int = 0) -> list[Found]:
        """The best entries for weighted texts, best first.

        Args:
            texts: as of :func:`hypotheses`.
            count: how many; 0: as many as the options say.
        """
        config, index = self.config, self.index
        if not any(one.surface and any(one.surface) for one in texts):
            return []
        ranked = best_entries(
            index, self.worth, query_graph(texts, config), self.costs,
            count or config.top, config.floor, config.per_gram, config.most_candidates,
        )  # fmt: skip
        line = cache(lambda place: _text(texts[place], texts[0].share, config))  # most: never asked
        return [
            self._placed(int(form), float(score), map(line, range(len(texts))))
            for form, score in zip(ranked.form, ranked.score, strict=True)
        ]

    def hits(self, found: Sequence[Found]) -> tuple[Hit, ...]:
        """What was found as it is told, with probabilities."""
        evidence = np.array([one.evidence for one in found])
        return tuple(
            self._hit(one, float(score))
            for one, score in zip(
                found, calibrated(probabilities(evidence, self.config)), strict=True
            )
        )

    @cached_property
    def worth(self) -> NDArray[np.float32]:
        """float32 [F]: the score of each form at distance 0."""
        config, forms = self.config, self.index.forms
        worth = config.phone_worth * np.diff(forms.begin).astype(np.float64)
        worth += self._popularity()[forms.entry]
        return worth.astype(np.float32)

    def _popularity(self) -> NDArray[np.float64]:
        """Nats of each entry, the most popular at 0; where nobody knows, the median."""
        known = np.log1p(self.index.popularity.astype(np.float64))
        if np.isnan(known).all():
            return np.zeros(len(known))
        known = np.where(np.isnan(known), np.nanmedian(known), known)
        return self.config.popularity_scale * (known - known.max())

    def _placed(self, form: int, score: float, lines: Iterable[_Text]) -> Found:
        """Where a form fits best, in the likeliest text that explains its score."""
        phones = self.index.form(form)
        distance = float(self.worth[form]) - score
        best: tuple[float, _Text, int, int] | None = None
        for line in lines:
            if len(line.line.phones) == 0 or (best is not None and line.cost >= best[0]):
                continue
            stretch = best_stretch(line.line, phones, self.costs)
            total = stretch.distance + line.cost
            if best is None or total < best[0]:
                best = (total, line, stretch.begin, stretch.end)
            if total <= distance + _SAME:
                break
        assert best is not None
        _, line, begin, end = best
        syllables = line.syllable[begin : max(end, begin + 1)]
        return Found(
            int(self.index.forms.entry[form]), score, line.text,
            int(syllables[0]), int(syllables[-1]) + 1,
        )  # fmt: skip

    def _hit(self, found: Found, score: float) -> Hit:
        entry = self.index.entry(found.entry)
        spoken = "".join(found.hypothesis.spoken)
        return Hit(
            found.entry, entry.name, score, found.evidence, spoken[found.begin : found.end],
            intent(found.hypothesis, found.begin, found.end), payload=entry.payload,
        )  # fmt: skip


def probabilities(evidence: NDArray[np.float64], config: SearchConfig) -> NDArray[np.float64]:
    """Of each entry to have been meant, rather than another or none: [N], at most 1 together.

    Args:
        evidence: nats, [N].
    """
    if len(evidence) == 0:
        return np.zeros(0)
    highest = max(float(evidence.max()), config.absent_score)
    weights = np.exp((evidence - highest) / config.temperature)
    none = math.exp((config.absent_score - highest) / config.temperature)
    shares: NDArray[np.float64] = weights / (weights.sum() + none)
    return shares


class _Text(NamedTuple):
    """One text as phones: the syllable of each (int32 [m]); nats by which it is less likely."""

    text: Hypothesis
    line: Line
    syllable: NDArray[np.int32]
    cost: float


def _text(one: Hypothesis, best_share: float, config: SearchConfig) -> _Text:
    phones, syllable = phones_of_surface("".join(one.surface))
    edges = tokens(one, config)
    start, end = np.full((2, len(phones)), np.inf, np.float32)
    join = np.zeros(len(phones), np.float32)
    firsts = np.searchsorted(syllable, np.arange(len(edges)))
    lasts = np.searchsorted(syllable, np.arange(len(edges)), side="right") - 1
    start[firsts] = [edge.start for edge in edges]
    join[firsts] = [edge.join for edge in edges]
    end[lasts] = [edge.end for edge in edges]
    cost = text_cost(one, best_share, config)
    return _Text(one, Line(phones, start, end, join), syllable, cost)
