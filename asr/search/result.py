"""What a search returns, and a versioned JSON form of it.

>>> hit = Hit(0, "서울역", 0.93, 21.0, "서울역", ("맛집", "찾아줘"))
>>> found = SearchResult("서울역 맛집 찾아줘", (hit,))
>>> SearchResult.from_dict(found.to_dict()) == found
True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asr.errors import DataError

FORMAT = "malsori-search-result"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that may have been meant.

    Attributes:
        number: the entry's number in the index.
        name: how it is written.
        score: the probability that it was meant, in [0, 1]; of all hits no more than 1 together.
        evidence: the log-likelihood ratio that hits are ranked by (nats).
        matched: the stretch of what was asked that it was found in.
        intent: the words around that stretch, without particles.
        start, end: seconds, of the eojeol that the stretch lies in; None for a typed query.
        payload: further columns of the catalogue.
    """

    number: int
    name: str
    score: float
    evidence: float
    matched: str
    intent: tuple[str, ...] = ()
    start: float | None = None
    end: float | None = None
    payload: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, the likeliest first.

    Attributes:
        text: what was recognised, or typed.
        hits: may be empty.
        source: where the sound came from.
    """

    text: str
    hits: tuple[Hit, ...]
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping; its `version` rises only when a reader would have to change."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": self.source,
            "text": self.text,
            "hits": [_hit_dict(hit) for hit in self.hits],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SearchResult:
        """Read what `to_dict` wrote. Raises DataError for another format or a newer version."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise DataError(f"not a {FORMAT} document")
        version = data.get("version")
        if not isinstance(version, int) or version > VERSION:
            raise DataError(
                f"{FORMAT} version {version!r} is newer than {VERSION}, the newest this Malsori"
                " reads: upgrade malsori"
            )
        try:
            hits = tuple(_hit(item) for item in data["hits"])
            return cls(data["text"], hits, data["source"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"damaged {FORMAT} document: {error!r}") from error


def _hit_dict(hit: Hit) -> dict[str, Any]:
    return {
        "entry": hit.number,
        "name": hit.name,
        "score": round(hit.score, 4),
        "evidence": round(hit.evidence, 3),
        "matched": hit.matched,
        "intent": list(hit.intent),
        "start": None if hit.start is None else round(hit.start, 3),
        "end": None if hit.end is None else round(hit.end, 3),
        "payload": list(hit.payload),
    }


def _hit(item: Mapping[str, Any]) -> Hit:
    return Hit(
        item["entry"], item["name"], item["score"], item["evidence"], item["matched"],
        tuple(item["intent"]), item["start"], item["end"], tuple(item["payload"]),
    )  # fmt: skip
