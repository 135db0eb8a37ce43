"""Cepstra that are drawn from a few Gaussians, with texts: speech whose alignment is known."""

import numpy as np

from asr.gmm.corpus import Corpus
from asr.gmm.features import Cepstra
from asr.hangul.jamo import decompose
from asr.hangul.phones import PHONES, syllable_phones

DIM = 13
SYLLABLES = "가나다라마바사아자차고노도로모보소오조초구누두루무부수우주추"


def phones_of(text: str) -> list[str]:
    """The phones of open syllables without junctions that change them."""
    phones: list[str] = []
    for syllable in text.replace(" ", ""):
        onset, nucleus, _ = decompose(syllable)
        phones += syllable_phones(onset, nucleus, 0)
    return phones


def corpus(utterances: int = 40, seed: int = 0) -> tuple[Corpus, dict[str, list[tuple[str, int]]]]:
    """Utterances of three speakers, and each one's (phone, first frame), pauses among them."""
    generator = np.random.default_rng(seed)
    # the first halves of a phone differ from its second ones, as speech does
    means = {name: 6.0 * generator.standard_normal((2, DIM)) for name in (*PHONES, "SIL")}
    frames, texts, truth = {}, {}, {}
    for number in range(utterances):
        text = "".join(generator.choice(list(SYLLABLES), 6))
        rows, begins = [], []
        for phone in ("SIL", *phones_of(text), "SIL"):
            length = int(
                generator.integers(15, 30) if phone == "SIL" else generator.integers(6, 14)
            )
            begins.append((phone, len(rows)))
            rows += [means[phone][2 * frame // length] for frame in range(length)]
        name = f"s{number % 3}-{number:03}"
        noise = generator.standard_normal((len(rows), DIM))
        frames[name] = (np.array(rows) + noise).astype(np.float32)
        texts[name], truth[name] = text, begins
    speaker = {name: name[:2] for name in frames}
    return Corpus(Cepstra(frames, speaker, {}), texts), truth
