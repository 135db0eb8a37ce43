"""`/search`: entries of the service's catalogue, by text (GET) or by voice (POST)."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from asr.errors import UsageError
from asr.search import SearchResult, VoiceSearch
from asr.server.errors import ApiError
from asr.server.service import Service
from asr.server.uploads import Upload, received_form, sound_file

MOST_HITS = 100
MOST_CHARACTERS = 500
DEFAULT_HITS = 5


async def by_text(service: Service, request: Request) -> Response:
    """Answer ``GET /search?q=TEXT&top=N``.

    Raises:
        ApiError: 404 without a catalogue, 400 for a query that makes no sense, 429 where the
            client has too much in progress, 503 where the service is stopping.
    """
    searcher = _catalogue(service).searcher
    count = _count(request.query_params.get("top"))
    text = request.query_params.get("q", "").strip()
    if not text or len(text) > MOST_CHARACTERS:
        raise ApiError(400, f"q is what to search for, 1 to {MOST_CHARACTERS} characters",
                       param="q")
    with service.accepted(), service.limits.request(request.state.client):
        try:
            return _answer(await service.pool.run_live(lambda: searcher.search(text, count)))
        except UsageError as error:
            raise ApiError(400, str(error), param="q") from error


async def by_voice(service: Service, request: Request) -> Response:
    """Answer ``POST /search``, a form with the part ``file`` and, where wanted, ``top``.

    Raises:
        ApiError: it cannot be answered otherwise.
        ClientGone: nobody waits for the answer any more.
    """
    async with received_form(service, request) as (form, stack):
        voice = _catalogue(service)
        top = form.get("top")
        count = _count(top if isinstance(top, str) else None)
        upload = Upload(service, sound_file(form), request.receive, nbest=voice.voice.nbest)
        stack.push_async_callback(upload.close)
        await upload.begin()
        async for _ in upload.segments():
            pass
        result = await service.pool.run_live(
            lambda: voice.of_segments(upload.result, count=count)
        )
    return _answer(result)


def _catalogue(service: Service) -> VoiceSearch:
    if service.catalogue is None:
        raise ApiError(404, "this service has no catalogue: start it with --catalog or --index")
    return service.catalogue


def _count(top: str | None) -> int:
    if top is None:
        return DEFAULT_HITS
    digits = len(str(MOST_HITS))  # int() refuses thousands of digits by an error of its own
    if not top.isdecimal() or len(top) > digits or not 1 <= int(top) <= MOST_HITS:
        raise ApiError(400, f"top is a number of hits, 1 to {MOST_HITS}", param="top")
    return int(top)


def _answer(result: SearchResult) -> Response:
    return JSONResponse(result.to_dict())
