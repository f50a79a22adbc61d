"""Bearer keys of the HTTP door."""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from bert_serving.server.tasks.request import RequestError
from fastapi import Request, Security
from fastapi.security import HTTPBearer

from bert_ft.errors import BertFtError

_BEARER = Security(HTTPBearer(auto_error=False))
"""For the description; a header that is none of its kind is a wrong key."""


class UnauthorizedError(RequestError):
    """A request without one of the keys."""

    headers: ClassVar = {"WWW-Authenticate": 'Bearer realm="bert-ft"'}

    def __init__(self) -> None:
        super().__init__("unauthorized", "this server has keys: send the header Authorization: Bearer KEY")


class HttpKeys:
    """The keys of a file, one a line; empty lines and those that begin with ``#`` are left out.

    Raises:
        BertFtError: the file cannot be read, or holds no key, or one that no header could carry.
    """

    def __init__(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise BertFtError(f"{path}: cannot be read ({error.strerror}); see -http_key_file") from None
        except UnicodeDecodeError:
            raise BertFtError(f"{path}: not a text file; -http_key_file holds one key a line") from None
        keys = []
        for number, line in enumerate(lines, 1):
            key = line.strip()
            if not key or key.startswith("#"):
                continue
            if not key.isascii() or not key.isprintable() or " " in key:
                raise BertFtError(f"{path}, line {number}: a key is made of ASCII characters without spaces")
            keys.append(_digest(key.encode("ascii")))
        if not keys:
            raise BertFtError(f"{path}: no key in it; write one a line, such as the output of: openssl rand -hex 32")
        self._digests = keys

    async def check(self, request: Request, _: Any = _BEARER) -> None:
        """Refuse whoever has no key, before anything of the request is read."""
        if not self.accept(request.headers.get("Authorization")):
            raise UnauthorizedError

    def accept(self, authorization: str | None) -> bool:
        """Whether an Authorization header holds one of the keys; takes the same time whichever it is."""
        scheme, _, key = (authorization or "").partition(" ")
        given = _digest(key.strip().encode("utf-8", "surrogateescape"))
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return scheme.lower() == "bearer" and any(matches)


def _digest(key: bytes) -> bytes:
    """Of one length for all keys, which compare_digest needs to keep that length to itself."""
    return sha256(key).digest()
