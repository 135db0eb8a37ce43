"""`/search`: entries of the service's catalogue, by text (GET) or by voice (POST)."""

from __future__ import annotations

from contextlib import AsyncExitStack

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile

from asr.search import SearchConfig, Searcher, SearchResult, VoiceSearch
from asr.server.body import OVERHEAD_BYTES, BoundedBody, read_form
from asr.server.errors import ApiError
from asr.server.openai_request import TranscriptionRequest
from asr.server.service import Service
from asr.server.uploads import Upload

MOST_HITS = 100
MOST_CHARACTERS = 500
DEFAULT_HITS = 5


async def by_text(service: Service, request: Request) -> Response:
    """Answer ``GET /search?q=TEXT&top=N``.

    Raises:
        ApiError: 404 without a catalogue, 400 for a query that makes no sense.
    """
    config = _config(service, request.query_params.get("top"))
    text = request.query_params.get("q", "").strip()
    if not text or len(text) > MOST_CHARACTERS:
        raise ApiError(400, f"q is what to search for, 1 to {MOST_CHARACTERS} characters",
                       param="q")
    assert service.index is not None
    searcher = Searcher(service.index, config)
    return _answer(await service.pool.run_live(lambda: searcher.search(text)))


async def by_voice(service: Service, request: Request) -> Response:
    """Answer ``POST /search``, a form with the part ``file`` and, where wanted, ``top``.

    Raises:
        ApiError: it cannot be answered otherwise.
        ClientGone: nobody waits for the answer any more.
    """
    most = service.config.upload_bytes + OVERHEAD_BYTES
    body = BoundedBody(request.receive, most, service.config)
    try:
        return await _by_voice(service, request, body, most)
    except ApiError:
        await body.discard()
        raise


async def _by_voice(
    service: Service, request: Request, body: BoundedBody, most_bytes: int
) -> Response:
    async with AsyncExitStack() as stack:
        stack.enter_context(service.accepted())
        stack.enter_context(service.limits.request(request.state.client))
        stack.enter_context(service.pool.place())
        form = await read_form(request, body, most_bytes)
        stack.push_async_callback(form.close)
        top = form.get("top")
        config = _config(service, top if isinstance(top, str) else None)
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise ApiError(400, "the form needs a part named file that is a file", param="file")
        name = file.filename or "upload"
        asked = TranscriptionRequest(file, name, "json", frozenset(), (), False)
        assert service.index is not None
        voice = VoiceSearch(service.model, service.index, config)
        upload = Upload(service, asked, request.receive, nbest=voice.voice.nbest)
        stack.push_async_callback(upload.close)
        await upload.begin()
        async for _ in upload.segments():
            pass
        result = await service.pool.run_live(lambda: voice.of_segments(upload.result))
    return _answer(result)


def _config(service: Service, top: str | None) -> SearchConfig:
    if service.index is None:
        raise ApiError(404, "this service has no catalogue: start it with --catalog or --index")
    if top is None:
        return SearchConfig(top=DEFAULT_HITS)
    digits = len(str(MOST_HITS))  # int() refuses thousands of digits by an error of its own
    if not top.isdecimal() or len(top) > digits or not 1 <= int(top) <= MOST_HITS:
        raise ApiError(400, f"top is a number of hits, 1 to {MOST_HITS}", param="top")
    return SearchConfig(top=int(top))


def _answer(result: SearchResult) -> Response:
    return JSONResponse(result.to_dict())
