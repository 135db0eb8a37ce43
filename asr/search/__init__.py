"""Voice search: which entries of a catalogue were meant by what was said or typed.

>>> from asr.search import Catalog, Entry, Index, search
>>> index = Index.build(Catalog([Entry("서울역"), Entry("서울숲"), Entry("청량리역")]))
>>> found = search(index, "서울력 근처 맛집 찾아줘")
>>> found.hits[0].name, found.hits[0].intent
('서울역', ('근처', '맛집', '찾아줘'))
"""

from asr.search.catalog import Catalog, Entry, read_catalog
from asr.search.config import SearchConfig
from asr.search.index import Index
from asr.search.result import Hit, SearchResult
from asr.search.retrieval import Searcher, search
from asr.search.voice import VoiceConfig, VoiceSearch

__all__ = [
    "Catalog",
    "Entry",
    "Hit",
    "Index",
    "SearchConfig",
    "SearchResult",
    "Searcher",
    "VoiceConfig",
    "VoiceSearch",
    "read_catalog",
    "search",
]
