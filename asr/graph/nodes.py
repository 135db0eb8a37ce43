"""Numbers of the look-ahead nodes: what the first syllable of a unit may be.

Node 0 is any unit; then come the nodes by (initial, onset), then those by (initial, onset, vowel),
where ``initial`` says that the unit opens an eojeol.
"""

from __future__ import annotations

from asr.hangul.jamo import NUCLEI, ONSETS

ROOT_NODE = 0
NUM_NODES = 1 + 2 * len(ONSETS) * (1 + len(NUCLEI))


def onset_node(initial: bool, onset: int) -> int:
    """The look-ahead node of all units that begin with this onset."""
    return 1 + int(initial) * len(ONSETS) + onset


def vowel_node(initial: bool, onset: int, nucleus: int) -> int:
    """The look-ahead node of all units that begin with this onset and vowel."""
    first = 1 + 2 * len(ONSETS)
    return first + (int(initial) * len(ONSETS) + onset) * len(NUCLEI) + nucleus
