"""Reading the JSON body of an HTTP request."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from bert_serving.server.frontends.http.body import BodyError
from bert_serving.server.frontends.json_texts import parse_object
from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError
from fastapi import Request

_GZIP = b"\x1f\x8b"


def check_headers(request: Request) -> None:
    """Raises BodyError, bad_request: they leave open where the body ends, or it is compressed."""
    if "content-length" in request.headers and "transfer-encoding" in request.headers:
        raise BodyError("bad_request", "a request has Content-Length or Transfer-Encoding, not both")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise BodyError("bad_request", f"Content-Encoding {encoding[:40]} is not understood; send the JSON as it is")


def parse_request(body: bytes, limits: Limits) -> dict[str, Any]:
    """The object of a request, its texts checked.

    Raises:
        RequestError: bad_request or too_large, with what is wrong and where.
    """
    wanted = parse_object(_text(body), limits)
    for key in ("id", "texts"):
        if key not in wanted:
            raise RequestError("bad_request", f'the body has no "{key}"; send {{"id": 1, "texts": ["a text"]}}')
    _check_id(wanted["id"])
    tokenised = wanted.get("is_tokenized")
    if tokenised is not None and tokenised is not isinstance(wanted["texts"][0], list):
        expected = "lists of tokens" if tokenised else "strings"
        raise RequestError("bad_request", f'"is_tokenized" is {json.dumps(tokenised)}, so "texts" must hold {expected}')
    return wanted


def _text(body: bytes) -> str:
    if body.startswith(_GZIP):
        raise RequestError("bad_request", "the body is compressed with gzip; send the JSON as it is")
    if (encoding := json.detect_encoding(body)) not in ("utf-8", "utf-8-sig"):
        raise RequestError("bad_request", f"the body is {encoding.upper()}; send UTF-8")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        guess = ""
        with contextlib.suppress(UnicodeDecodeError):
            body.decode("gb18030")
            guess = "it may be GBK: "
        raise RequestError("bad_request", f"the body is not UTF-8 (byte {error.start}); {guess}send UTF-8") from None


def _check_id(value: Any) -> None:
    """It is sent back, and 1e999 comes out of the parser as something that JSON has not."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise RequestError("bad_request", '"id" holds a number that is too large') from None
    except RecursionError:
        raise RequestError("bad_request", '"id" is nested too deeply') from None
