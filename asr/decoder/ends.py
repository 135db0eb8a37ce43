"""How an utterance may end in the search's tokens (numba)."""

from __future__ import annotations

from typing import Any

import numba as nb

from asr.decoder.lm_kernels import bias_unit, lm_step
from asr.graph.lexicon import Kind

VOWEL = int(Kind.VOWEL)


@nb.njit(cache=True, nogil=True)
def endings(
    graph: Any, lm: Any, words: Any, options: Any, tokens: Any, count: int, eos: int, found: Any
) -> int:
    """All ways in which an utterance may end here, into ``found``; returns how many.

    found: of arrays [at least 28 · count]: token int32, unit int32 (the unit still to be said, or
    −1), score float64 (with the end of sentence, and without what user words lent), lm float32
    and bonus float32 of the unit, end float32 (log-probability of the end of sentence).
    """
    made = 0
    for i in range(count):
        state = tokens.state[i]
        lm_state = tokens.lm_state[i]
        ahead = options.lookahead_step * lm.lookahead[lm.row[lm_state], graph.node[state]]
        if graph.kind[state] == VOWEL:
            for arc in range(graph.label_begin[state], graph.arc_begin[state + 1]):
                if not graph.final[graph.arc_target[arc]]:
                    continue
                unit = graph.arc_unit[arc]
                logp, following = lm_step(lm, lm_state, unit)
                added, place = bias_unit(words, tokens.bias[i], unit)
                added += options.bonus[unit] - words.automaton.potential[place]
                end, _ = lm_step(lm, following, eos)
                found.token[made] = i
                found.unit[made] = unit
                found.lm[made] = logp
                found.bonus[made] = added
                found.end[made] = end
                found.score[made] = (
                    tokens.score[i]
                    + options.lm_scale * (logp + end + ahead)
                    + added
                    - graph.arc_cost[arc]
                )
                made += 1
        elif graph.final[state]:
            end, _ = lm_step(lm, lm_state, eos)
            found.token[made] = i
            found.unit[made] = -1
            found.lm[made] = 0.0
            found.bonus[made] = 0.0
            found.end[made] = end
            found.score[made] = (
                tokens.score[i]
                + options.lm_scale * (end + ahead)
                - words.automaton.potential[tokens.bias[i]]
            )
            made += 1
    return made
