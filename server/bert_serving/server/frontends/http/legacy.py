"""bert-as-service's routes and JSON, and the same for all tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from bert_serving.server.answering import SMALL_REQUEST_BYTES, TINY_REQUEST_BYTES, in_pool
from bert_serving.server.frontends.base import Service
from bert_serving.server.frontends.http import documentation
from bert_serving.server.frontends.http.body import Bodies
from bert_serving.server.frontends.http.caller import while_connected
from bert_serving.server.frontends.http.reply import Outgoing, Reply, answer_json, check_numbers, json_response
from bert_serving.server.frontends.http.request import check_headers, parse_request
from bert_serving.server.options import ServerOptions
from bert_serving.server.settings import is_loopback
from bert_serving.server.tasks.registry import TASKS, TaskRequest
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

FRONTEND = "http"
SMALL_AT_A_TIME = 16


class LegacyApi:
    """POST a task, GET the status of the server or of the frontend.

    Large requests are worked on ``-http_max_connect`` at a time; further ones wait their turn, small ones go ahead of
    them.
    """

    def __init__(self, options: ServerOptions, service: Service) -> None:
        self._options = options
        self._service = service
        self._answering = service.answering
        self._limits = limits = service.answering.limits
        self._bodies = Bodies(limits)
        self._outgoing = Outgoing(limits)
        self._turns = asyncio.Semaphore(options.http_max_connect)
        self._small_turns = asyncio.Semaphore(max(options.http_max_connect, SMALL_AT_A_TIME))
        self._small = ThreadPoolExecutor(2, "http-small")
        self._large = ThreadPoolExecutor(2, "http-large")

    def router(self, route: type[APIRoute]) -> APIRouter:
        router = APIRouter(route_class=route)
        for task in TASKS:
            extra = documentation.of_task(task)
            router.add_api_route(f"/{task}", self._endpoint(task), methods=["POST"], name=task, openapi_extra=extra)
        example = {"server_version": "1.10.0", "tasks": list(TASKS), "statistic": {}, "queue": {}, "status": 200}
        add_get(router, "/status/server", self._server_status, documentation.of_answers(example))
        example = {"http_port": 8125, "num_pending_request": 0, "server_ip": "127.0.0.1", "status": 200}
        add_get(router, "/status/client", self._client_status, documentation.of_answers(example))
        return router

    def close(self) -> None:
        """Wait no longer for what is still to come."""
        self._bodies.close()
        for pool in (self._small, self._large):
            pool.shutdown(wait=False, cancel_futures=True)

    def _endpoint(self, task: str) -> Callable[[Request], Awaitable[Response]]:
        async def post(request: Request) -> Response:
            self._answering.admission.check()
            check_headers(request)
            async with self._bodies.receive(request) as body:  # before the turn: who sends slowly keeps nobody waiting
                with self._answering.admission.one(FRONTEND, len(body)):
                    return await while_connected(request, self._work(task, request, body))

        return post

    async def _work(self, task: str, request: Request, body: bytes) -> Reply:
        parse = partial(parse_request, limits=self._limits)
        if len(body) > SMALL_REQUEST_BYTES:
            async with self._turns:
                wanted = await in_pool(self._large, parse, body)
                return await self._answer(task, request, wanted, len(body))
        async with self._small_turns:
            tiny = len(body) <= TINY_REQUEST_BYTES
            wanted = parse(body) if tiny else await in_pool(self._small, parse, body)
            if len(wanted["texts"]) <= self._options.priority_batch_size:
                return await self._answer(task, request, wanted, len(body))
        async with self._turns:
            return await self._answer(task, request, wanted, len(body))

    async def _answer(self, task: str, request: Request, wanted: dict[str, Any], size: int) -> Reply:
        client = f"http:{request.client.host if request.client else ''}".encode()
        texts = wanted["texts"]
        self._answering.check_count(client, len(texts))
        asked = TaskRequest.read({**wanted, "task": task})
        if task == "encode":
            numbers = len(texts) * (self._service.config(client, False)["dim"] or 1)
            check_numbers(numbers, self._limits.http_max_numbers)
        result = await self._answering.answer(client, asked, lambda: texts, size)
        pool = self._small if len(texts) <= self._options.priority_batch_size else self._large
        content = await in_pool(pool, answer_json, wanted["id"], result, self._limits.http_max_numbers)
        return self._outgoing.reply(content)

    async def _server_status(self, request: Request) -> Response:
        """SHOW_STATUS; paths and versions are for who has a key, or asks from this machine."""
        client = request.client.host.encode() if request.client else b"http"
        self._answering.statistic.add_system_request(client)
        return json_response({**self._service.status(client, self._trusts(request)), "status": 200})

    async def _client_status(self, request: Request) -> Response:
        """Where the frontend listens, and how many requests it has not answered."""
        pending = self._answering.admission.of(FRONTEND)
        address = {"http_port": self._options.http_port, "num_pending_request": pending}
        return json_response({**address, "server_ip": self._options.host, "status": 200})

    def _trusts(self, request: Request) -> bool:
        """Whether a request has a key, or comes from this machine and not by way of a web page."""
        if self._options.http_key_file is not None:
            return True
        local = request.client is not None and is_loopback(request.client.host)
        return local and "origin" not in request.headers and is_loopback(request.url.hostname or "")


def add_get(
    router: APIRouter, path: str, endpoint: Callable[[Request], Awaitable[Response]], extra: dict[str, Any]
) -> None:
    """Answer GET, and HEAD as GET."""
    router.add_api_route(path, endpoint, methods=["GET"], openapi_extra=extra)
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
