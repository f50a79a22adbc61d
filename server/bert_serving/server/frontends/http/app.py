"""The application: its routers, who may use them, and the description of itself."""

from __future__ import annotations

from bert_serving.server.frontends.base import Service
from bert_serving.server.frontends.http.documentation import of_answers
from bert_serving.server.frontends.http.faults import HANDLERS, route_class
from bert_serving.server.frontends.http.keys import HttpKeys
from bert_serving.server.frontends.http.legacy import LegacyApi, add_get
from bert_serving.server.frontends.http.reply import json_response
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute

from bert_ft import __version__


def application(legacy: LegacyApi, service: Service, cors: str, keys: HttpKeys | None) -> FastAPI:
    """
    Args:
        cors: origin that browsers may call from, or ``*``.
        keys: one of them opens every route but /health; None: no key is needed.
    """
    app = FastAPI(title="bert-ft", version=__version__, openapi_url=None, exception_handlers=HANDLERS)
    app.add_middleware(CORSMiddleware, allow_origins=[cors], allow_methods=["*"], allow_headers=["*"])
    route = route_class(service.answering)
    keyed = [] if keys is None else [Depends(keys.check)]
    app.include_router(legacy.router(route), dependencies=keyed)
    app.include_router(_description(app, route), dependencies=keyed)
    app.include_router(_health(service, route))
    return app


def _description(app: FastAPI, route: type[APIRoute]) -> APIRouter:
    router = APIRouter(route_class=route, include_in_schema=False)

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        return json_response(app.openapi())

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        return get_swagger_ui_html(openapi_url="openapi.json", title=app.title)

    return router


def _health(service: Service, route: type[APIRoute]) -> APIRouter:
    """For those who start and watch the server."""
    router = APIRouter(route_class=route)

    async def health(request: Request) -> Response:
        """200 when every worker is ready, else 503."""
        return json_response({"ready": service.ready, "status": 200 if service.ready else 503})

    add_get(router, "/health", health, of_answers({"ready": True, "status": 200}, 503))
    return router
