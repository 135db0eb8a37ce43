"""What was said, for training: all ways to say a text, and the phones of one of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from asr.align_text import text_steps, written_words
from asr.chain import kernels
from asr.chain.hmm_graph import HmmGraph, from_text_graph
from asr.decoder.align_graph import TextGraph, indexed, packed, text_graph
from asr.errors import DataError
from asr.graph.hcl import HclGraph
from asr.graph.lexicon import SILENCE
from asr.hangul.phones import PHONES


class TextSupervision:
    """Makes numerator graphs of texts.

    Args:
        hcl: compiled HCL over any inventory of units, with the acoustic model's pdfs.
        units: unit → id, as the graph's labels have them.
    """

    def __init__(self, hcl: HclGraph, units: Mapping[str, int]) -> None:
        self._hcl = hcl
        self._indexed = indexed(hcl)
        self._units = units
        self._most_units = 1 + int(hcl.arc_unit.max(initial=-1))

    @classmethod
    def of_tensors(
        cls, graph: Mapping[str, np.ndarray], units: Mapping[str, int]
    ) -> TextSupervision:
        """Of a graph as a bundle keeps it, whose look-ahead is of no use here."""
        arrays = {name: array for name, array in graph.items() if name != "lookahead"}
        return cls(HclGraph.from_tensors(arrays), units)

    def text_graph(self, text: str, tell: bool = True) -> TextGraph:
        """All ways to say a text (numbers and Latin letters are read out).

        Args:
            text: as people write.
            tell: warn of what is not read.

        Raises:
            DataError: nothing in it can be read, or a syllable is unknown.
        """
        words = [word for written in written_words(text, tell) for word in written.spoken]
        # as it is written: other spacings cost something
        steps = [step for step in text_steps(words, self._units) if step.cost == 0.0]
        return text_graph(self._hcl, self._indexed, packed(steps, self._most_units))

    def graph(self, text: str) -> HmmGraph:
        """The numerator of a text. Raises as :meth:`text_graph` does."""
        return from_text_graph(self.text_graph(text))

    def phones(self, graph: TextGraph) -> list[str]:
        """What each state of a text's graph speaks."""
        spoken = self._hcl.phone[graph.state].tolist()
        return [PHONES[phone] if phone >= 0 else SILENCE for phone in spoken]

    def spoken_phones(self, graph: TextGraph, scores: NDArray[np.float32]) -> list[str]:
        """The phones, pauses among them, of the best way to say a text in a sound.

        Args:
            scores: float32 [T, pdfs] of an acoustic model that has the graph's pdfs.

        Raises:
            DataError: the text is too long for the sound.
        """
        path = best_states(from_text_graph(graph), scores)
        changed = np.flatnonzero(np.diff(path, prepend=0))
        phones = self.phones(graph)
        return [phones[state] for state in path[changed].tolist()]


def best_states(graph: HmmGraph, scores: NDArray[np.float32]) -> NDArray[np.int32]:
    """The states of the best path: int32 [T].

    Raises:
        DataError: no path through the graph is as long as the sound.
    """
    path = np.empty(len(scores), np.int32)
    back = np.empty((len(scores), graph.states), np.int32)
    if len(scores) == 0 or not np.isfinite(kernels.best_states(*graph, scores, back, path)):
        raise DataError("the text does not fit the sound: it is too long for it; check both")
    return path


def pdfs_of(graph: HmmGraph, path: NDArray[np.int32]) -> NDArray[np.int64]:
    """The pdf of each frame of a path of states: int64 [T], as cross-entropy takes it."""
    stayed = np.diff(path, prepend=0) == 0
    return np.where(stayed, graph.loop[path], graph.forward[path]).astype(np.int64)


def random_phones(
    supervision: TextSupervision,
    graph: TextGraph,
    generator: np.random.Generator,
    pause: float = 0.1,
) -> list[str]:
    """The phones of a way to say a text, drawn at random: for want of an acoustic model.

    Args:
        pause: about how often an eojeol has a pause before it.
    """
    plain = from_text_graph(graph)
    phones = supervision.phones(graph)
    source = plain.edge_source
    target = plain.edge_target
    weight = np.exp(-plain.edge_cost.astype(np.float64))
    silent = np.array([phone == SILENCE for phone in phones])
    weight[silent[target] & (source > 0)] *= pause / (1.0 - pause)
    left = _mass_to_end(plain, source, target, weight)
    order = np.argsort(source, kind="stable")
    begin = np.searchsorted(source[order], np.arange(plain.states + 1))
    state, path = 0, []
    for _ in range(plain.states + 1):
        out = order[begin[state] : begin[state + 1]]
        chances = weight[out] * left[target[out]]
        ends = float(np.exp(-plain.final_cost[state]))
        draw = generator.random() * (chances.sum() + ends)
        if draw >= chances.sum():
            break
        state = int(target[out[int(np.searchsorted(np.cumsum(chances), draw, side="right"))]])
        path.append(state)
    return [phones[place] for place in path]


def _mass_to_end(
    graph: HmmGraph,
    source: NDArray[np.int32],
    target: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The sum over all ways from each state to an end: float64 [S]."""
    final = np.exp(-graph.final_cost.astype(np.float64))
    mass = final.copy()
    for _ in range(graph.states):
        new = final + np.bincount(source, weight * mass[target], minlength=graph.states)
        if np.array_equal(new, mass):
            return mass
        mass = new
    raise DataError("the graph of the text has a loop")
