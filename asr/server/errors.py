"""Failures as a client of OpenAI's API understands them."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A request that is answered with an error.

    Args:
        status: of the HTTP answer.
        message: one sentence for the caller.
        code: a word that programs tell errors apart by.
        param: the parameter that is wrong.
        retry_after: seconds after which it may be tried again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's header says of it."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers

    def as_dict(self) -> dict[str, Any]:
        """OpenAI's form of an error."""
        kind = _KINDS.get(self.status, "server_error" if self.status >= 500 else _INVALID)
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.param,
                "code": self.code,
            }
        }


_INVALID = "invalid_request_error"
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
