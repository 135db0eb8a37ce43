"""Kaldi's transition model of our monophones, for tests that compare with it."""

from typing import Any

from asr.hmm.topology import CLASSICAL, NUM_PHONES


def topology_text(states: dict[int, int]) -> str:
    """Kaldi's text form of left-to-right phones with so many states."""
    entries = []
    for phone, count in states.items():
        rows = [
            f"<State> {s} <PdfClass> {s} <Transition> {s} 0.75 <Transition> {s + 1} 0.25 </State>"
            for s in range(count)
        ]
        entries.append(
            f"<TopologyEntry> <ForPhones> {phone} </ForPhones> {' '.join(rows)} "
            f"<State> {count} </State> </TopologyEntry>"
        )
    return f"<Topology> {' '.join(entries)} </Topology>"


def monophone_transitions(khg: Any) -> Any:
    """``khg`` is the module kaldi_hmm_gmm."""
    states = {phone: CLASSICAL.states(phone) for phone in range(1, NUM_PHONES + 1)}
    topology = khg.HmmTopology()
    topology.read(topology_text(states))
    tree = khg.monophone_context_dependency(list(states), [-1, *states.values()])
    return khg.TransitionModel(tree, topology)
