"""`POST /v1/subtitles`: a result, as JSON, in one of the formats of `asr transcribe`.

What the page has heard live becomes a file by the same writers as everything else.
"""

from __future__ import annotations

import json

from fastapi import Request, Response

from asr.errors import DataError, UsageError
from asr.result import Result
from asr.server.body import BoundedBody, check_length
from asr.server.config import MEGABYTE
from asr.server.errors import ApiError
from asr.server.service import Service
from asr.writers import Writer, get_writer

MOST_BYTES = 2 * MEGABYTE


async def convert(service: Service, request: Request) -> Response:
    """Answer ``POST /v1/subtitles?format=srt``, whose body is a ``malsori-result``.

    Raises:
        ApiError: the body is no such result, or the format is not known.
        ClientGone: the client went away.
    """
    body = BoundedBody(request.receive, MOST_BYTES, service.config)
    try:
        check_length(request, MOST_BYTES)
        data = await Request(request.scope, body).body()
        writer = get_writer(request.query_params.get("format", "srt"))
        text = await service.pool.run_live(lambda: _written(writer, data))
    except (DataError, UsageError) as error:
        raise ApiError(400, str(error)) from error
    except ApiError:
        await body.discard()
        raise
    return Response(text, media_type="text/plain; charset=utf-8")


def _written(writer: Writer, data: bytes) -> str:
    try:
        return writer.dumps(Result.from_dict(json.loads(data)))
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise DataError("the body is no result as JSON, or its times are no numbers") from error
