"""Fields of the rows that the searches on static graphs read, finished or composed on the way.

A row holds what one step needs side by side; float32 fields are read through a view of the same
memory.
"""

#: A state: its first arc, its first arc that takes no frame, self-loop pdf, and (as float32) what a
#: further frame costs.
FIRST, SILENT, LOOP, LOOP_COST = range(4)
#: An arc: target, cost (as float32), pdf of the target (with flags) or the target's level, unit.
TARGET, COST, PDF, UNIT = range(4)
PDF_MASK = (1 << 20) - 1
BEGINS = 1 << 20  # flag of an arc on which a unit begins
PAUSES = 1 << 21  # flag of an arc into a pause

#: Further fields of a state of a graph that is composed as it is searched: where its arcs end,
#: twice its HCL state (and 1 for an exit), its LM state, and (as float32) what a path into it has
#: paid in advance. A first arc of −1 says that its arcs are yet to be composed; a target −1 − s is
#: HCL state s in the same LM state, yet to be numbered.
END, HCL, LM, PAID = range(4, 8)
#: An LM state: its arcs, its look-ahead entries (−1: yet to be listed), where it backs off to and
#: (as float32) at what cost, the best cost of the next unit (float32), the level of its exits.
BEGIN, BEYOND, AHEAD, AHEAD_END, BACKOFF, BACKOFF_COST, ROOT, EXIT_LEVEL = range(8)
#: An LM arc: unit, next state, cost (as float32), and the next state's ROOT (float32).
WORD, NEXT, WORD_COST, NEXT_ROOT = range(4)
#: An HCL state: where its arcs within units begin, those out of units, those with labels, and where
#: they end; flags; class of the units below or −1. LOOP and LOOP_COST are fields 6 and 7.
ARC, OUT, LABEL, LAST, FLAGS, CLASS, HCL_LOOP, HCL_LOOP_COST = range(8)
#: An HCL arc: class of the target or label, target, cost (as float32), the target's pdf and role.
KEY, TO, ARC_COST, ENTERS = range(4)
ROLE_SHIFT = 20
#: Flags of an HCL state beside its role: its arcs take a frame; it may back off.
ROLE_MASK, FRAMES, BACKS_OFF = 3, 4, 8
#: How far the arrays of a growing graph are filled: states, arcs, look-ahead entries.
STATES, ARCS, ENTRIES = range(3)
