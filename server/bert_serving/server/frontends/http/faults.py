"""What a caller is told when there is no answer: bert-as-service's error object, whatever went wrong."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from bert_serving.server.answering import Answering
from bert_serving.server.frontends.http.reply import fault_response
from bert_serving.server.tasks.registry import TASKS
from bert_serving.server.tasks.request import RequestError
from fastapi import Request, Response
from fastapi.routing import APIRoute

STATUS_OF_CODE = {
    "bad_request": 400,
    "unauthorized": 401,
    "too_large": 413,
    "no_head": 400,
    "overloaded": 503,
    "shutting_down": 503,
    "server_failed": 503,
    "engine_failed": 500,
    "internal": 500,
}


def route_class(answering: Answering) -> type[APIRoute]:
    """Routes that raise nothing but :class:`RequestError`."""

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handler(request: Request) -> Response:
                try:
                    return await handle(request)
                except Exception as error:
                    raise answering.fault(error, "an HTTP request") from None

            return handler

    return Route


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    response = fault_response(error.message, STATUS_OF_CODE[error.code], error.code)
    response.headers.update(getattr(error, "headers", {}))
    return response


async def _no_route(request: Request, error: Exception) -> Response:
    *tasks, last = (f"/{task}" for task in TASKS)
    post = f"POST {', '.join(tasks)} or {last}"
    message = f"there is no {request.url.path[:100]}; {post}, GET /status/server, /status/client or /health"
    return fault_response(message, 404, "not_found")


async def _wrong_method(request: Request, error: Exception) -> Response:
    allowed = "GET, HEAD" if "GET" in (getattr(error, "headers", None) or {}).get("Allow", "") else "POST"
    path = request.url.path[:100]
    response = fault_response(f"{path} takes {allowed}, not {request.method}", 405, "method_not_allowed")
    response.headers["Allow"] = allowed
    return response


HANDLERS: Any = {RequestError: _refused, 404: _no_route, 405: _wrong_method}
"""What FastAPI is given for exceptions."""
