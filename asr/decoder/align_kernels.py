"""The inner loops of forced alignment (numba): the graph of one text, and Viterbi over it.

A node is a pair (HCL state, place in the text). Arrays are checked and sized by
:mod:`asr.decoder.align`; these functions trust them.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

#: What an edge passes on its way: no pending state at all, an inner pending state (in the midst of
#: a unit), or, from 0 on, the step of the text whose unit it completes.
DIRECT, INNER = -2, -1
UNREACHED = -1
#: Back-pointer of a node that no path enters; also more edges than may enter one node.
NO_PATH = 255
#: How :func:`viterbi` ended.
DONE, OUT_OF_MEMORY, ALL_LOST = range(3)
#: Frames to the end of a node that never comes there.
NEVER = 2**31 - 1


@nb.njit(cache=True, nogil=True)
def _mark(graph: Any, steps: Any, place: int, marked: Any, stack: Any) -> None:
    """Set ``marked[s] = place`` for HCL states from which a step at ``place`` may be completed.

    Walks back from the labelled arcs along unlabelled ones; at the end of the text, from the
    final states.
    """
    count = 0
    last = len(steps.begin) - 2
    if place == last:
        for state in range(len(graph.final)):
            if graph.final[state]:
                marked[state] = place
                stack[count] = state
                count += 1
    for step in range(steps.begin[place], steps.begin[place + 1]):
        unit = steps.unit[step]
        for i in range(graph.unit_begin[unit], graph.unit_begin[unit + 1]):
            state = graph.unit_source[i]
            if marked[state] != place:
                marked[state] = place
                stack[count] = state
                count += 1
    while count > 0:
        count -= 1
        state = stack[count]
        for i in range(graph.reverse_begin[state], graph.reverse_begin[state + 1]):
            source = graph.reverse_source[i]
            if marked[source] != place:
                marked[source] = place
                stack[count] = source
                count += 1


@nb.njit(cache=True, nogil=True)
def _room(array: Any, count: int) -> Any:
    """The array, or one twice as long with the same beginning when it is full."""
    if count < len(array):
        return array
    larger = np.empty(2 * len(array), array.dtype)
    larger[:count] = array[:count]
    return larger


@nb.njit(cache=True, nogil=True)
def expand(graph: Any, steps: Any) -> Any:
    """All nodes and edges that are reachable from the start, place by place.

    Returns (state int32 [N], place int32 [N], source int32 [E], target int32 [E], cost float32 [E],
    step int32 [E]); ``step`` is the step that the edge completes, or ``INNER``. Nodes ascend by
    place; a place's nodes that were entered from an earlier place come first.
    """
    states = len(graph.kind)
    marked = np.full(states, UNREACHED, np.int32)
    stack = np.empty(states, np.int32)
    node_of = np.zeros(states, np.int32)
    node_place = np.full(states, UNREACHED, np.int32)
    state_of = np.empty(1024, np.int32)
    place_of = np.empty(1024, np.int32)
    source = np.empty(4096, np.int32)
    target = np.empty(4096, np.int32)
    cost = np.empty(4096, np.float32)
    label = np.empty(4096, np.int32)
    # edges into places that are still to come: a linked list for each
    places = len(steps.begin) - 1
    head = np.full(places, -1, np.int32)
    following = np.empty(1024, np.int32)
    entered = np.empty(1024, np.int32)
    left = np.empty(1024, np.int32)
    paid = np.empty(1024, np.float32)
    by_step = np.empty(1024, np.int32)
    nodes, edges, entries = 0, 0, 0
    for place in range(places):
        _mark(graph, steps, place, marked, stack)
        node = nodes
        if place == 0:
            state_of[0] = graph.start[0]
            place_of[0] = 0
            node_of[graph.start[0]] = 0
            node_place[graph.start[0]] = 0
            nodes = 1
        entry = head[place]
        while entry >= 0:
            state = entered[entry]
            if marked[state] == place:
                if node_place[state] != place:
                    state_of = _room(state_of, nodes)
                    place_of = _room(place_of, nodes)
                    state_of[nodes] = state
                    place_of[nodes] = place
                    node_of[state] = nodes
                    node_place[state] = place
                    nodes += 1
                source = _room(source, edges)
                target = _room(target, edges)
                cost = _room(cost, edges)
                label = _room(label, edges)
                source[edges] = left[entry]
                target[edges] = node_of[state]
                cost[edges] = paid[entry]
                label[edges] = by_step[entry]
                edges += 1
            entry = following[entry]
        while node < nodes:
            state = state_of[node]
            for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
                unit = graph.arc_unit[arc]
                entering = graph.arc_target[arc]
                if unit >= 0:
                    for step in range(steps.begin[place], steps.begin[place + 1]):
                        if steps.unit[step] == unit:
                            following = _room(following, entries)
                            entered = _room(entered, entries)
                            left = _room(left, entries)
                            paid = _room(paid, entries)
                            by_step = _room(by_step, entries)
                            following[entries] = head[steps.target[step]]
                            entered[entries] = entering
                            left[entries] = node
                            paid[entries] = graph.arc_cost[arc] + steps.cost[step]
                            by_step[entries] = step
                            head[steps.target[step]] = entries
                            entries += 1
                    continue
                if marked[entering] != place:
                    continue
                if node_place[entering] != place:
                    state_of = _room(state_of, nodes)
                    place_of = _room(place_of, nodes)
                    state_of[nodes] = entering
                    place_of[nodes] = place
                    node_of[entering] = nodes
                    node_place[entering] = place
                    nodes += 1
                source = _room(source, edges)
                target = _room(target, edges)
                cost = _room(cost, edges)
                label = _room(label, edges)
                source[edges] = node
                target[edges] = node_of[entering]
                cost[edges] = graph.arc_cost[arc]
                label[edges] = INNER
                edges += 1
            node += 1
    return (
        state_of[:nodes], place_of[:nodes],
        source[:edges], target[:edges], cost[:edges], label[:edges],
    )  # fmt: skip


@nb.njit(cache=True, nogil=True)
def frames_to_end(text: Any) -> Any:
    """The fewest further frames in which each node can come to the end: int32 [N].

    Nodes that never can get ``NEVER``. An edge takes one frame.
    """
    nodes = len(text.forward)
    never = np.int32(NEVER)
    left = np.full(nodes, never, np.int32)
    queue = np.empty(nodes, np.int32)
    count = 0
    for node in range(nodes):
        if text.final_cost[node] < np.inf:
            left[node] = 0
            queue[count] = node
            count += 1
    done = 0
    while done < count:
        node = queue[done]
        done += 1
        for edge in range(text.edge_begin[node], text.edge_begin[node + 1]):
            source = text.edge_source[edge]
            if left[source] == never:
                left[source] = left[node] + 1
                queue[count] = source
                count += 1
    return left


@nb.njit(cache=True, nogil=True)
def viterbi(
    text: Any, left: Any, lowest: Any, highest: Any, loglikes: Any, beam: float, most: int
) -> Any:
    """The best path of every frame into every node that the beam keeps.

    Args:
        text: a graph of emitting nodes; the edges that enter node n are
            ``edge_begin[n]:edge_begin[n + 1]``.
        left: of :func:`frames_to_end`.
        lowest: int32 [N], the lowest node that is n, or follows n or any node above it.
        highest: int32 [N], one more than the highest node that is n, or follows n or any below it.
        loglikes: float32 [T, pdfs].
        beam: nodes worse than the frame's best by more are dropped (infinity: none).
        most: bytes that the back-pointers may take.

    Returns (status, scores float64 [N] after the last frame, first int32 [T], offset int64 [T + 1],
    back uint8): ``back[offset[t] + n - first[t]]`` is 0 where node n's best path stayed in frame t,
    ``NO_PATH`` where there is none, else one more than the number of the edge by which it came.
    Status: ``DONE``, ``OUT_OF_MEMORY``, or ``ALL_LOST`` by the beam.
    """
    frames, nodes = len(loglikes), len(text.forward)
    now = np.full(nodes, -np.inf, np.float64)
    after = np.full(nodes, -np.inf, np.float64)
    first = np.zeros(frames, np.int32)
    offset = np.zeros(frames + 1, np.int64)
    back = np.empty(min(most, max(1024, frames * 512)), np.uint8)
    now[0] = 0.0
    low, high = 0, 1
    for frame in range(frames):
        row = loglikes[frame]
        remaining = frames - 1 - frame
        low = lowest[low]
        end = highest[high - 1]
        begin = offset[frame]
        if begin + end - low > len(back):
            if begin + end - low > most:
                return OUT_OF_MEMORY, now, first, offset, back
            larger = np.empty(min(most, 2 * len(back) + end - low), np.uint8)
            larger[:begin] = back[:begin]
            back = larger
        first[frame] = low
        offset[frame + 1] = begin + end - low
        best = -np.inf
        for node in range(low, end):
            place = begin + node - low
            back[place] = NO_PATH
            if left[node] > remaining:
                continue
            enter = -np.inf
            came = -1
            for edge in range(text.edge_begin[node], text.edge_begin[node + 1]):
                score = now[text.edge_source[edge]] - text.edge_cost[edge]
                if score > enter:
                    enter = score
                    came = edge
            enter += row[text.forward[node]]
            stay = now[node] - text.loop_cost[node] + row[text.loop[node]]
            if stay >= enter and stay > -np.inf:
                after[node] = stay
                back[place] = 0
            elif came >= 0:
                after[node] = enter
                back[place] = came - text.edge_begin[node] + 1
            best = max(best, after[node])
        now[low:end] = -np.inf
        now, after = after, now
        if best == -np.inf:
            return ALL_LOST, now, first, offset, back
        for node in range(low, end):
            if now[node] < best - beam:
                now[node] = -np.inf
        high = end
        while now[low] == -np.inf:
            low += 1
        while now[high - 1] == -np.inf:
            high -= 1
    return DONE, now, first, offset, back


@nb.njit(cache=True, nogil=True)
def trace(text: Any, node: int, first: Any, offset: Any, back: Any) -> Any:
    """The node of every frame on the best path that ends in ``node``, and the edge by which it was
    entered in that frame (−1 where it stayed): int32 [T] each."""
    frames = len(first)
    path = np.empty(frames, np.int32)
    edges = np.full(frames, -1, np.int32)
    for frame in range(frames - 1, -1, -1):
        path[frame] = node
        came = back[offset[frame] + node - first[frame]]
        if came > 0:
            edges[frame] = text.edge_begin[node] + came - 1
            node = text.edge_source[edges[frame]]
    return path, edges


@nb.njit(cache=True, nogil=True)
def best_of_any_phones(loop: Any, loglikes: Any) -> Any:
    """The best score up to each frame over all phone sequences: float64 [T + 1], first 0.

    Args:
        loop: emissions by (phone, forward pdf, loop pdf) and, for each, the phones that may stand
            to its left: ``left[left_begin[u]:left_begin[u + 1]]``.
        loglikes: float32 [T, pdfs].
    """
    frames, size = len(loglikes), len(loop.forward)
    totals = np.zeros(frames + 1, np.float64)
    now = np.full(size, -np.inf, np.float64)
    ends = np.full(loop.phones, -np.inf, np.float64)
    now[loop.start] = 0.0
    ends[loop.phone[loop.start]] = 0.0
    for frame in range(frames):
        row = loglikes[frame]
        for one in range(size):
            enter = -np.inf
            for i in range(loop.left_begin[one], loop.left_begin[one + 1]):
                enter = max(enter, ends[loop.left[i]])
            now[one] = max(now[one] + row[loop.loop[one]], enter + row[loop.forward[one]])
        ends[:] = -np.inf
        for one in range(size):
            ends[loop.phone[one]] = max(ends[loop.phone[one]], now[one])
        totals[frame + 1] = ends.max()
    return totals
