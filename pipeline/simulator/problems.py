"""A refused request, and its error body in each dialect's shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

__all__ = ["ERROR_SHAPES", "RequestError", "error_body"]


class RequestError(Exception):
    """Raised when a request is answered with an error instead of being executed."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.kind = kind
        self.headers: dict[str, str] = {}


_QINGBO_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "payment_required",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "bad_gateway",
}


def _openai(error: RequestError) -> dict[str, object]:
    return {"error": {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}}


def _qingbo(error: RequestError) -> dict[str, object]:
    kind = _QINGBO_TYPES.get(error.status, "server_error")
    if error.code == "insufficient_quota":  # the one 429 that waiting does not cure keeps its own type
        kind = "insufficient_quota"
    return {"error": {"code": error.status, "message": error.message, "type": kind}}


def _apimart(error: RequestError) -> dict[str, object]:
    return {
        "error": {
            "message": error.message,
            "type": error.kind,
            "code": error.code or error.status,
            "param": error.param,
        }
    }


ERROR_SHAPES: Mapping[str, Callable[[RequestError], dict[str, object]]] = {
    "openai": _openai,
    "qingbo": _qingbo,
    "apimart": _apimart,
}


def error_body(shape: str, error: RequestError) -> bytes:
    """The error as the dialect writes it."""
    return orjson.dumps(ERROR_SHAPES[shape](error))
