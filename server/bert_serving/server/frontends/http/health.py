"""Whether the server answers, for those who start and watch it."""

from __future__ import annotations

from bert_serving.server.frontends.base import Service
from bert_serving.server.frontends.http.documentation import of_status
from bert_serving.server.frontends.http.legacy import add_get
from bert_serving.server.frontends.http.reply import json_response
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute


def health_router(service: Service, route: type[APIRoute]) -> APIRouter:
    async def health(request: Request) -> Response:
        """200 when every worker is ready, else 503."""
        ready = service.ready
        return json_response(200 if ready else 503, {"ready": ready, "status": 200 if ready else 503})

    router = APIRouter(route_class=route)
    add_get(router, "/health", health, of_status({"ready": True, "status": 200}, 503))
    return router
