"""CTC on our graphs: equal to enumeration, learns, and is a model that the search takes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mono_system import small_lm
from test_finetuning import NARROW, shipped_speech
from torch import Tensor, nn

from asr.bundle import open_bundle
from asr.chain.ctc import BLANK, NUM_PDFS, CtcObjective, ctc_tree, said
from asr.chain.hmm_graph import HmmGraph, from_text_graph
from asr.chain.prepared import PreparedGraph
from asr.chain.supervision import TextSupervision
from asr.chain_training import ChainConfig
from asr.cli.main import main
from asr.ctc_training import for_ctc, train_ctc
from asr.graph.emissions import EmissionModel
from asr.graph.hcl import compile_hcl
from asr.graph.lexicon import SILENCE, Lexicon
from asr.hangul.phones import PHONES
from asr.hmm.topology import SURFACE_PHONES
from asr.training.batch import Example, collate
from asr.training.config import TrainConfig

UNITS = {"▁가": 0, "▁나": 1, "▁국": 2, "물": 3}


@pytest.fixture(scope="module")
def supervision() -> TextSupervision:
    emissions = EmissionModel.from_tree(ctc_tree(), SURFACE_PHONES)
    hcl = compile_hcl(Lexicon(list(UNITS)), emissions, UNITS)
    return TextSupervision(hcl, UNITS)


def ways(supervision: TextSupervision, text: str) -> HmmGraph:
    graph = supervision.text_graph(text)
    return said(from_text_graph(graph), supervision.phones(graph))


def spelled(graph: HmmGraph) -> list[tuple[int, ...]]:
    """Every sequence of labels that leads to an end."""
    found, waiting = [], [(0, ())]
    after: dict[int, list[int]] = {}
    for source, target in zip(graph.edge_source.tolist(), graph.edge_target.tolist(), strict=True):
        after.setdefault(source, []).append(target)
    while waiting:
        state, labels = waiting.pop()
        if np.isfinite(graph.final_cost[state]):
            found.append(labels)
        for target in after.get(state, []):
            waiting.append((target, (*labels, int(graph.forward[target]))))
    return found


def enumerated(logprobs: Tensor, sequences: list[tuple[int, ...]]) -> Tensor:
    """Log of the sum over all ways to lay labels on frames, blank elsewhere."""
    terms = []
    for labels in sequences:
        for places in itertools.combinations(range(len(logprobs)), len(labels)):
            frames = [BLANK] * len(logprobs)
            for place, label in zip(places, labels, strict=True):
                frames[place] = label
            terms.append(logprobs[range(len(logprobs)), frames].sum())
    return torch.stack(terms).logsumexp(0)


def test_the_pdfs_are_labels_and_a_blank() -> None:
    tree = ctc_tree()
    pdfs = {tree.pdfs(left, phone) for left in (0, 1, 20) for phone in SURFACE_PHONES.symbols}
    assert pdfs == {(number, BLANK) for number in range(NUM_PDFS)}
    assert len(PHONES) + 1 == NUM_PDFS
    assert not tree.has(3, 0)


def test_each_way_to_say_a_text_counts_once(supervision: TextSupervision) -> None:
    graph = ways(supervision, "국물 가")  # the pause between is blank like any other
    found = spelled(graph)
    assert len(found) == len(set(found)) >= 1
    names = [SILENCE, *PHONES]
    read = {" ".join(names[label] for label in labels) for labels in found}
    assert BLANK not in {label for labels in found for label in labels}
    assert read == {"g u ng m u l2 g a", "g u ng m u l2 gg a"}


@pytest.mark.parametrize("text", ["가", "가 나", "국"])
def test_the_loss_is_that_of_enumeration(supervision: TextSupervision, text: str) -> None:
    graph = ways(supervision, text)
    outputs = torch.randn(6, NUM_PDFS, generator=torch.Generator().manual_seed(1),
                          dtype=torch.float64).float().requires_grad_()  # fmt: skip
    wanted = -enumerated(outputs.double().log_softmax(1), spelled(graph))
    (gradient,) = torch.autograd.grad(wanted, outputs)

    class Fixed(nn.Module):
        def forward(self, *_: object) -> tuple[Tensor, Tensor]:
            return outputs[None], torch.tensor([6])

    batch = collate([Example("a", torch.zeros(6, 1), None, PreparedGraph(graph))])
    value = CtcObjective()(Fixed(), batch)
    value.loss.backward()
    assert value.frames == 6 and not value.failed
    assert value.loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    torch.testing.assert_close(outputs.grad, gradient, atol=1e-5, rtol=1e-4)


def test_a_text_longer_than_its_sound_does_not_count(supervision: TextSupervision) -> None:
    class Fixed(nn.Module):
        def forward(self, *_: object) -> tuple[Tensor, Tensor]:
            return torch.zeros(1, 3, NUM_PDFS, requires_grad=True), torch.tensor([3])

    target = PreparedGraph(ways(supervision, "국물 국물"))
    value = CtcObjective()(Fixed(), collate([Example("a", torch.zeros(3, 1), None, target)]))
    assert value.failed == ("a",) and value.frames == 0 and value.loss.item() == 0.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_outputs_that_are_no_numbers_are_no_short_text(
    supervision: TextSupervision, bad: float
) -> None:
    class Fixed(nn.Module):
        def forward(self, *_: object) -> tuple[Tensor, Tensor]:
            outputs = torch.zeros(1, 9, NUM_PDFS)
            outputs[0, 4, 3] = bad
            return outputs.requires_grad_(), torch.tensor([9])

    target = PreparedGraph(ways(supervision, "가 나"))
    value = CtcObjective()(Fixed(), collate([Example("a", torch.zeros(9, 1), None, target)]))
    assert np.isnan(value.loss.item()) and value.frames == 9 and not value.failed


def test_it_learns_and_is_a_model(tmp_path: Path) -> None:
    import asr

    training = TrainConfig(steps=25, learning_rate=1e-2, final_learning_rate=3e-3, log_every=1,
                           max_frames=100_000)  # fmt: skip
    network = {"kind": "tdnnf", "dim": 32, "bottleneck": 16, "strides": [1, 0, 2], "prefinal": 24,
               "subsampling": 2}  # fmt: skip
    config = ChainConfig(speeds=(1.0,), training=training, network=network)
    speech = shipped_speech()[:6]
    report = train_ctc(
        speech, tmp_path / "out", tmp_path / "work", dev=speech[:2], config=config,
        lm=small_lm(tmp_path),
    )
    assert report.utterances == len(speech)
    lines = (tmp_path / "work" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [row["train/loss"] for row in map(json.loads, lines) if "train/loss" in row]
    assert losses[-1] < 0.9 * losses[0]
    history = open_bundle(tmp_path / "out").manifest.sections["training"][0]
    assert history["objective"] == "CTC" and "lfmmi" not in history
    result = asr.load(tmp_path / "out").transcribe(speech[0].path, decoder=NARROW)
    assert isinstance(result.text, str)


def test_a_perceptron_that_has_no_second_head_to_leave_out(tmp_path: Path) -> None:
    training = TrainConfig(steps=2, learning_rate=1e-3, max_frames=100_000)
    config = ChainConfig(
        speeds=(1.0,), training=training, network={"kind": "mlp", "layers": 1, "dim": 16}
    )
    speech = shipped_speech()[:2]
    report = train_ctc(speech, tmp_path / "out", tmp_path / "work", config=config,
                       lm=small_lm(tmp_path))  # fmt: skip
    assert report.summary.step == 2
    (history,) = open_bundle(tmp_path / "out").manifest.sections["training"]
    assert history["network"] == config.network


def test_batches_are_as_long_in_sound_whatever_the_features() -> None:
    mfcc, states = for_ctc(ChainConfig()), for_ctc(ChainConfig.for_encoder(0))
    assert (mfcc.training.max_frames, states.training.max_frames) == (2000, 1000)
    assert states.network == ChainConfig.for_encoder(0).network
    assert states.training.epochs > ChainConfig.for_encoder(0).training.epochs


def test_options_that_say_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(tmp_path / "data"), str(tmp_path / "out")]
    assert main(words) == 2
    assert "--objective ctc" in capsys.readouterr().err
    for option in ("--leaves", "--smbr", "--mmi"):
        assert main([*words, "--objective", "ctc", option, "9"]) == 2
        assert f"{option} is for LF-MMI" in capsys.readouterr().err
