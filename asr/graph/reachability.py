"""Which states of a graph lead anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def leading_to_an_end(
    final: NDArray[np.bool_], source: NDArray[np.integer], target: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """The states from which a final one can be reached: bool [S].

    Args:
        final: bool [S].
        source, target: int [A], the arcs.
    """
    alive = final.copy()
    while True:
        more = source[alive[target] & ~alive[source]]
        if len(more) == 0:
            return alive
        alive[more] = True
