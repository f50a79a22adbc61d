"""The application: its routers, who may use them, and the description of itself."""

from __future__ import annotations

from typing import Any

from bert_serving.server.frontends.base import Service
from bert_serving.server.frontends.http.faults import HANDLERS, route_class
from bert_serving.server.frontends.http.health import health_router
from bert_serving.server.frontends.http.keys import HttpKeys, UnauthorizedError
from bert_serving.server.frontends.http.legacy import LegacyApi
from bert_serving.server.frontends.http.reply import json_response
from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from bert_ft import __version__

_BEARER = Security(HTTPBearer(auto_error=False))
"""For the description; a header that is none of its kind is a wrong key."""


def application(legacy: LegacyApi, service: Service, cors: str, keys: HttpKeys | None) -> FastAPI:
    """
    Args:
        cors: origin that browsers may call from, or ``*``.
        keys: one of them opens every route but /health; None: no key is needed.
    """
    app = FastAPI(title="bert-ft", version=__version__, openapi_url=None, exception_handlers=HANDLERS)
    app.add_middleware(CORSMiddleware, allow_origins=[cors], allow_methods=["*"], allow_headers=["*"])
    route = route_class(service.answering)
    keyed = [] if keys is None else [Depends(_key_check(keys))]
    app.include_router(legacy.router(route), dependencies=keyed)
    app.include_router(_description(app, route), dependencies=keyed)
    app.include_router(health_router(service, route))
    return app


def _key_check(keys: HttpKeys) -> Any:
    """Refuses whoever has no key, before anything of the request is read."""

    async def check(request: Request, _: Any = _BEARER) -> None:
        if not keys.accept(request.headers.get("Authorization")):
            raise UnauthorizedError

    return check


def _description(app: FastAPI, route: type[APIRoute]) -> APIRouter:
    router = APIRouter(route_class=route, include_in_schema=False)

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        return json_response(200, app.openapi())

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        return get_swagger_ui_html(openapi_url="openapi.json", title=app.title)

    return router
