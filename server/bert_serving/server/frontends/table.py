"""The protocols that the server speaks."""

from __future__ import annotations

from bert_serving.server.frontends.base import Frontend
from bert_serving.server.frontends.http.frontend import HttpFrontend
from bert_serving.server.frontends.zmq.frontend import ZmqFrontend

FRONTENDS: tuple[type[Frontend], ...] = (ZmqFrontend, HttpFrontend)
