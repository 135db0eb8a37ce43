"""A small corpus, models of it, and what every language-model test asks of a model."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from asr.lm.arpa import write_arpa
from asr.lm.counts import Corpus
from asr.lm.kneser_ney import Mixture
from asr.lm.ngram import NgramModel
from asr.lm.train import TrainConfig, train
from asr.lm.units import Vocabulary, build_vocabulary, encode_lines, encode_words, text_to_units

DATA = Path(__file__).parent / "data"
TRAINING_LINES = 1100


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    return (DATA / "random_sentences.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="session")
def training(sentences: list[str]) -> list[str]:
    return sentences[:TRAINING_LINES]


@pytest.fixture(scope="session")
def held_out(sentences: list[str]) -> list[str]:
    return sentences[TRAINING_LINES:]


@pytest.fixture(scope="session")
def vocabulary(training: list[str]) -> Vocabulary:
    return build_vocabulary(training, min_count=1)


@pytest.fixture(scope="session")
def models(training: list[str], vocabulary: Vocabulary) -> dict[str, NgramModel]:
    """Plain, count-pruned, entropy-pruned and mixed models."""
    whole = [Corpus(encode_lines(training, vocabulary))]
    words = sorted({(word, len(word)) for line in training[:200] for word in line.split()})
    parts = [
        Corpus(encode_lines(training[:300], vocabulary)),
        Corpus(encode_lines(training[300:], vocabulary)),
        Corpus(encode_words(words, vocabulary), fragments=True),
    ]
    mixture = Mixture((0.5, 1.0, 0.2), 0.4, 0.3)
    return {
        "plain": train(whole, vocabulary, TrainConfig(4)),
        "bigram": train(whole, vocabulary, TrainConfig(2)),
        "counts": train(whole, vocabulary, TrainConfig(4, min_counts=(1, 1, 2, 3))),
        "entropy": train(whole, vocabulary, TrainConfig(5, entropy_threshold=2e-5)),
        "mixed": train(parts, vocabulary, TrainConfig(4, (1, 1, 1, 2), 1e-5, mixture)),
    }


@pytest.fixture(params=["plain", "bigram", "counts", "entropy", "mixed"])
def model(request: pytest.FixtureRequest, models: dict[str, NgramModel]) -> NgramModel:
    return models[request.param]


@pytest.fixture(scope="session")
def spell() -> object:
    """A sentence as KenLM takes it: units with spaces between."""
    return lambda text: " ".join(text_to_units(text))


@pytest.fixture(scope="session")
def arpa_text() -> object:
    def write(model: NgramModel) -> str:
        file = io.StringIO()
        write_arpa(model, file)
        return file.getvalue()

    return write


@pytest.fixture(scope="session")
def total_probability() -> object:
    """Sum of p(w | history) over all w but <s>, by scoring every continuation."""

    def total(model: NgramModel, history: list[int]) -> float:
        vocabulary = model.vocabulary
        words = [w for w in range(len(vocabulary)) if w != vocabulary.bos]
        rows = [[vocabulary.bos, *history, word] for word in words]
        scores = model.score_tokens(np.array(rows).ravel()).reshape(len(rows), -1)
        return float(np.exp(scores[:, -1]).sum())

    return total
