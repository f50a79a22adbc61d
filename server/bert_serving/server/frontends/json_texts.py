"""Reading the JSON of a request piece by piece.

``json.loads`` of 100 MB holds the interpreter's lock for seconds, in which no other request is answered, and makes
objects of twenty times the size before anything can be said about them. Here every string is an own step, and the first
fault ends the reading.
"""

from __future__ import annotations

import re
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]

from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError, Texts, check_text

_BLANKS = re.compile(r"[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_END = re.compile(r"[ \t\n\r]*\][ \t\n\r]*")
_KINDS = {"{": "an object", "[": "a list", '"': "a string", "true": "a boolean", "false": "a boolean", "null": "null"}
_BEGINNING = re.compile(r'[{\["]|true|false|null|-?[0-9]|NaN|-?Infinity')


def parse_texts(payload: bytes, count: int, limits: Limits) -> Texts:
    """Read and check a JSON list of strings, or of lists of strings.

    Args:
        count: how many texts the request says it holds.

    Raises:
        RequestError: bad_request or too_large, with what is wrong and where.
    """
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError("bad_request", f"the texts are not valid UTF-8 (byte {error.start})") from None
    try:
        return _Reader(text, limits).texts(count)
    except JSONDecodeError as error:
        raise RequestError("bad_request", f"the texts are not a JSON list ({error})") from None


class _Reader:
    def __init__(self, text: str, limits: Limits) -> None:
        self._text = text
        self._limits = limits
        self._at = _BLANKS.match(text).end()  # type: ignore[union-attr]
        self._tokens = 0

    def texts(self, count: int) -> Texts:
        kind = self._kind()
        if kind != "a list":
            raise RequestError("bad_request", f"texts must be a JSON list, not {kind}")
        self._at = _BLANKS.match(self._text, self._at + 1).end()  # type: ignore[union-attr]
        if self._ends():
            raise RequestError("bad_request", "the list of texts is empty; send at least one text")
        tokenised = self._text.startswith("[", self._at)
        texts: list = []
        while True:
            index = len(texts)
            if index == count:
                raise RequestError("bad_request", f"the request announces {count} texts and holds more")
            kind = self._kind()
            if index and (kind == "a list") is not tokenised:
                mixed = f"texts[{index}]: strings and lists of tokens are mixed in one request"
                raise RequestError("bad_request", mixed)
            texts.append(self._words(f"texts[{index}]") if tokenised else self._string(f"texts[{index}]", kind))
            if not self._goes_on():
                break
        self._close()
        if self._at < len(self._text):
            raise JSONDecodeError("Extra data", self._text, self._at)
        if len(texts) != count:
            raise RequestError("bad_request", f"the request announces {count} texts and holds {len(texts)}")
        return texts

    def _words(self, name: str) -> list[str]:
        self._at = _BLANKS.match(self._text, self._at + 1).end()  # type: ignore[union-attr]
        if self._ends():
            raise RequestError("bad_request", f"{name}: the list of tokens is empty")
        words: list[str] = []
        while True:
            words.append(self._string(f"{name}[{len(words)}]", self._kind()))
            self._tokens += 1
            if self._tokens > self._limits.max_tokens:
                limit = f"{self._limits.max_tokens} tokens"
                raise RequestError("too_large", f"a request holds at most {limit}; send it in parts")
            if not self._goes_on():
                break
        self._close()
        return words

    def _string(self, name: str, kind: str) -> str:
        if kind != "a string":
            raise RequestError("bad_request", f"{name}: must be a string, not {kind}")
        value, self._at = scanstring(self._text, self._at + 1, True)
        check_text(name, value, self._limits.max_text_characters)
        return value

    def _kind(self) -> str:
        """What begins here."""
        found = _BEGINNING.match(self._text, self._at)
        if found is None:
            raise JSONDecodeError("Expecting value", self._text, self._at)
        return _KINDS.get(found.group(), "a number")

    def _goes_on(self) -> bool:
        """Pass a comma, if there is one."""
        comma = _NEXT.match(self._text, self._at)
        if comma:
            self._at = comma.end()
        return comma is not None

    def _ends(self) -> bool:
        """Pass a closing bracket, if there is one."""
        end = _END.match(self._text, self._at)
        if end:
            self._at = end.end()
        return end is not None

    def _close(self) -> None:
        if not self._ends():
            raise JSONDecodeError("Expecting ',' delimiter", self._text, self._at)
