"""A second opinion on a text: the morpheme language model of Kiwi (kiwipiepy, Apache-2.0).

Our own models count syllables of some million words. Kiwi's was trained on far more text, and it
knows what a syllable model cannot see: morphemes, agreement and the words of a dictionary. Its
score of a text is the log-probability of the best analysis into morphemes.
"""

from __future__ import annotations

import functools
import threading

from asr.errors import ModelError

EMPTY_LOGP = -20.0
"""What a text without any morpheme scores."""


_loading = threading.Lock()


def morpheme_model() -> MorphemeModel:
    """The one that all recognisers of this process share; the first call loads it.

    Raises:
        ModelError: kiwipiepy is not installed.
    """
    with _loading:  # threads that come at once wait for one, and load none of their own
        return _loaded()


@functools.cache
def _loaded() -> MorphemeModel:
    return MorphemeModel()


class MorphemeModel:
    """Scores texts by Kiwi's model. May be shared by threads; loading takes about a second.

    Raises:
        ModelError: kiwipiepy is not installed.
    """

    def __init__(self) -> None:
        try:
            from kiwipiepy import Kiwi
        except ImportError as error:
            raise ModelError(
                "rescoring needs the package kiwipiepy, which is not installed: "
                "pip install 'kiwipiepy==0.24.*', or switch it off (--no-rescoring)"
            ) from error
        # The dictionaries hold names and set phrases; without them loading takes a third of the
        # time, and scores tell texts apart as well.
        self._kiwi = Kiwi(
            num_workers=1,
            model_type="cong",
            load_default_dict=False,
            load_multi_dict=False,
            load_typo_dict=False,
        )
        self._lock = threading.Lock()

    def score(self, text: str) -> float:
        """Log-probability (nats) of a text in Hangul with spaces."""
        if not text.strip():
            return EMPTY_LOGP
        with self._lock:
            (_, logp), *_ = self._kiwi.analyze(text)
        return float(logp)
