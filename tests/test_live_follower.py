"""A light model that follows live sound for another one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from asr import Model, UsageError, load_audio
from asr.acoustic.front_end import SpectralFrontEnd
from asr.acoustic.scorer import AcousticScorer
from asr.acoustic.tdnnf import Tdnnf, TdnnfConfig
from asr.cli.main import main
from asr.data_files import shipped
from asr.features import FrameConfig, MfccConfig
from asr.gathering import GatherConfig
from asr.graph.grammar import parse_grammar
from asr.live import LiveConfig
from asr.result import Result

SAMPLE = shipped("samples") / "human-digits-6789.flac"
PHRASES = parse_grammar("여섯 일곱 여덟 아홉\n불 켜 줘")


@pytest.fixture(scope="module")
def light(model: Model) -> Model:
    """It hears the same sound otherwise: next to no language model, and a narrow search."""
    return model.with_options(decoder=replace(model.decoder_config, lm_scale=0.2, beam=8.0))


def followed(model: Model, config: LiveConfig | None = None) -> tuple[list[str], Result]:
    sound = load_audio(SAMPLE, model.sample_rate).samples
    stream = model.stream(live=config or LiveConfig())
    texts = []
    for begin in range(0, len(sound), 1600):
        stream.accept(sound[begin : begin + 1600])
        texts.append(stream.partial().text)
    return texts, stream.finish()


def test_partials_are_the_light_models_and_segments_the_others(model: Model, light: Model) -> None:
    own, result = followed(model)
    others, light_result = followed(light)
    assert own != others and result.text != light_result.text  # else this says nothing
    texts, both = followed(model.following(light))
    assert texts == others
    assert both.text == result.text and both.model == model.name


def test_words_and_grammars_are_given_to_both(model: Model, light: Model) -> None:
    for view in (model.following(light).add_words(["육칠팔구번"]),
                 model.add_words(["육칠팔구번"]).following(light)):  # fmt: skip
        follower = view._recognizer.follower
        assert follower is not None and follower.words == view._recognizer.words
        assert follower.config == light.decoder_config
    texts, result = followed(model.following(model).with_grammar(PHRASES))
    shown = {text.replace(" ", "") for text in texts if text}
    assert shown and all("여섯일곱여덟아홉".startswith(text) for text in shown)
    assert result.text == "여섯 일곱 여덟 아홉"
    with pytest.raises(UsageError, match="before both are given a grammar"):
        model.with_grammar(PHRASES).following(light)


def test_other_options_of_a_view_with_a_follower_and_a_grammar(model: Model, light: Model) -> None:
    bias = replace(model.bias, class_cost=model.bias.class_cost + 1.0)
    view = model.following(light).with_grammar(PHRASES).with_options(bias=bias)
    follower = view._recognizer.follower
    assert follower is not None and follower.bias == bias and follower.grammar is not None
    sound = load_audio(SAMPLE, model.sample_rate).samples
    stream = view.stream(live=True, decoder=model.decoder_config)
    stream.accept(sound)
    assert stream.finish().text == "여섯 일곱 여덟 아홉"


def test_networks_of_both_are_run_for_several_streams(model: Model, light: Model) -> None:
    for view in (model.following(light).gathering(GatherConfig(4)),
                 model.gathering(GatherConfig(4)).following(light)):  # fmt: skip
        follower = view._recognizer.follower
        assert follower is not None and follower.network is not None
        assert follower.network.config.most == 4
    assert followed(view)[0] == followed(light)[0]


def test_models_that_do_not_go_together(model: Model, light: Model) -> None:
    with pytest.raises(UsageError, match="leave out again=False"):
        followed(model.following(light), LiveConfig(again=False))
    torch.manual_seed(0)
    front_end = SpectralFrontEnd(MfccConfig(frame=FrameConfig(sample_frequency=8000.0)))
    network = Tdnnf(TdnnfConfig(13, 5, dim=8, bottleneck=4, strides=(1,), prefinal=4, xent=False))
    telephone = light._with(
        replace(light._recognizer, scorer=AcousticScorer(front_end, network))
    )
    with pytest.raises(UsageError, match=r"hears 8000 Hz, the other one 16000"):
        model.following(telephone)


def test_the_command(korean_model, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--model", str(korean_model), "--live-model", str(korean_model)]
    assert main(["live", str(SAMPLE), *both, "--once"]) == 2
    assert "give that model as --model" in capsys.readouterr().err
    assert main(["live", str(SAMPLE), *both]) == 0
    assert main(["live", str(SAMPLE), *both[:2]]) == 0
    followed_text, own_text = capsys.readouterr().out.splitlines()
    assert followed_text == own_text


