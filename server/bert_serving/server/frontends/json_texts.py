"""Reading the JSON of a request piece by piece.

``json.loads`` of 100 MB holds the interpreter's lock for seconds, in which no other request is answered, and makes
objects of twenty times the size before anything can be said about them. Here every string is an own step, and the first
fault ends the reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json.decoder import JSONDecodeError, JSONDecoder, scanstring  # type: ignore[attr-defined]
from typing import Any, NoReturn

from bert_serving.server.limits import Limits
from bert_serving.server.tasks.request import RequestError, Texts

_BLANKS = re.compile(r"[ \t\n\r]*")
_NEXT = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_KINDS = {"{": "an object", "[": "a list", '"': "a string", "true": "a boolean", "false": "a boolean", "null": "null"}
_BEGINNING = re.compile(r'[{\["]|true|false|null|-?[0-9]|NaN|-?Infinity')

_Scan = Callable[[str, int], tuple[Any, int]]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


_SCAN: _Scan = JSONDecoder().scan_once  # type: ignore[attr-defined]
_STRICT_SCAN: _Scan = JSONDecoder(parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]


def parse_texts(payload: bytes, count: int, limits: Limits) -> Texts:
    """Read and check a JSON list of strings, or of lists of strings.

    Args:
        count: how many texts the request says it holds.

    Raises:
        RequestError: bad_request or too_large, with what is wrong and where.

    Example:
        >>> parse_texts(b'["one", "two"]', 2, Limits())
        ['one', 'two']
    """
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError("bad_request", f"the texts are not valid UTF-8 (byte {error.start})") from None
    reader = _Reader(text, limits.max_text_characters, limits.max_tokens, "tokens", _SCAN)
    try:
        if (kind := reader.kind()) != "a list":
            raise RequestError("bad_request", f"texts must be a JSON list, not {kind}")
        texts = reader.texts(count, 0)
        reader.end()
    except ValueError as error:
        raise RequestError("bad_request", f"the texts are not a JSON list ({error})") from None
    if len(texts) != count:
        raise RequestError("bad_request", f"the request announces {count} texts and holds {len(texts)}")
    return texts


def parse_object(text: str, limits: Limits) -> dict[str, Any]:
    """Read a JSON object; its member "texts" is checked as :func:`parse_texts` does.

    Raises:
        RequestError: bad_request or too_large, with what is wrong and where.

    Example:
        >>> parse_object('{"id": 1, "texts": [["one", "two"]], "more": {}}', Limits())
        {'id': 1, 'texts': [['one', 'two']], 'more': {}}
    """
    reader = _Reader(text, limits.max_text_characters, limits.http_max_json_values, "JSON values", _STRICT_SCAN)
    try:
        if reader.kind() != "an object":
            raise RequestError("bad_request", 'the body must be an object such as {"id": 1, "texts": ["a text"]}')
        members = reader.object(with_texts=True)
        reader.end()
    except (ValueError, RecursionError) as error:
        raise RequestError("bad_request", f"Not a JSON. ({error})") from None
    return members


class _Reader:
    """Reads values one after another.

    Args:
        maximum: of values that are counted.
        what: is counted.
        scan: reads a value that holds no others.
    """

    def __init__(self, text: str, max_characters: int, maximum: int, what: str, scan: _Scan) -> None:
        self._text = text
        self._max_characters = max_characters
        self._left = self._maximum = maximum
        self._what = what
        self._scan = scan
        self._at = _BLANKS.match(text).end()  # type: ignore[union-attr]

    def kind(self) -> str:
        """What begins here."""
        found = _BEGINNING.match(self._text, self._at)
        if found is None:
            raise JSONDecodeError("Expecting value", self._text, self._at)
        kind = _KINDS.get(found.group())
        if kind is None:
            self._scan(self._text, self._at)  # it may be none that JSON has
        return kind or "a number"

    def texts(self, count: int | None, counted: int) -> Texts:
        """Strings, or lists of strings.

        Args:
            count: so many are announced.
            counted: as how many values a text counts, beside its tokens.
        """
        if self._enters("]"):
            raise RequestError("bad_request", "the list of texts is empty; send at least one text")
        if not self._text.startswith("[", self._at):
            return self._strings((), count, counted)
        texts: list[list[str]] = []
        while True:
            self._check_count(len(texts), count)
            self._count(counted)
            if not self._text.startswith("[", self._at):
                self._refuse_kind((len(texts),), tokenised=True)
            if self._enters("]"):
                raise RequestError("bad_request", f"texts[{len(texts)}]: the list of tokens is empty")
            texts.append(self._strings((len(texts),), None, 1))
            if not self._goes_on("]"):
                return texts

    def object(self, with_texts: bool = False) -> dict[str, Any]:
        """Its members; "texts" checked, if wanted."""
        self._count(1)
        members: dict[str, Any] = {}
        if self._enters("}"):
            return members
        while True:
            if not self._text.startswith('"', self._at):
                message = "Expecting property name enclosed in double quotes"
                raise JSONDecodeError(message, self._text, self._at)
            name, self._at = scanstring(self._text, self._at + 1, True)
            self._skip()
            if not self._text.startswith(":", self._at):
                raise JSONDecodeError("Expecting ':' delimiter", self._text, self._at)
            self._at += 1
            self._skip()
            members[name] = self._checked_texts() if with_texts and name == "texts" else self._value()
            if not self._goes_on("}"):
                return members

    def end(self) -> None:
        """See that nothing follows."""
        self._skip()
        if self._at < len(self._text):
            raise JSONDecodeError("Extra data", self._text, self._at)

    def _checked_texts(self) -> Texts:
        self._count(1)
        if self.kind() != "a list":
            raise RequestError("bad_request", '"texts" must be a list of strings, or a list of lists of tokens')
        return self.texts(None, 1)

    def _value(self) -> Any:
        kind = self.kind()
        if kind == "an object":
            return self.object()
        self._count(1)
        if kind != "a list":
            value, self._at = self._scan(self._text, self._at)
            return value
        values: list[Any] = []
        if not self._enters("]"):
            values.append(self._value())
            while self._goes_on("]"):
                values.append(self._value())
        return values

    def _strings(self, place: tuple[int, ...], count: int | None, counted: int) -> list[str]:
        """What is left of a list of strings; as few steps a string as can be."""
        found: list[str] = []
        text, at, max_characters = self._text, self._at, self._max_characters
        begins = text.startswith
        if not begins('"', at):
            self._refuse_kind((*place, 0))
        at += 1
        while True:
            if len(found) == count:
                self._check_count(count, count)
            self._left -= counted
            if self._left < 0:
                self._count(0)
            value, at = scanstring(text, at, True)
            if not value or value.isspace() or len(value) > max_characters:
                self._refuse_text(value, (*place, len(found)))
            found.append(value)
            if begins(', "', at):
                at += 3
            elif begins(',"', at):
                at += 2
            else:
                self._at = at
                if not self._goes_on("]"):
                    return found
                at = self._at + 1
                if not begins('"', self._at):
                    self._check_count(len(found), count)
                    self._refuse_kind((*place, len(found)))

    def _refuse_kind(self, place: tuple[int, ...], tokenised: bool = False) -> NoReturn:
        kind = self.kind()
        mixed = tokenised or (kind == "a list" and len(place) == 1)
        fault = "strings and lists of tokens are mixed in one request" if mixed else f"must be a string, not {kind}"
        raise RequestError("bad_request", f"{_name(place)}: {fault}")

    def _refuse_text(self, value: str, place: tuple[int, ...]) -> NoReturn:
        if not value or value.isspace():
            raise RequestError("bad_request", f"{_name(place)}: is empty or blank")
        fault = f"has {len(value)} characters, more than {self._max_characters}"
        raise RequestError("too_large", f"{_name(place)}: {fault}")

    def _check_count(self, index: int, count: int | None) -> None:
        if index == count:
            raise RequestError("bad_request", f"the request announces {count} texts and holds more")

    def _count(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise RequestError("too_large", f"a request holds at most {self._maximum} {self._what}; send it in parts")

    def _skip(self) -> None:
        self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]

    def _enters(self, closing: str) -> bool:
        """Pass an opening bracket, and the closing one if it is next."""
        self._at += 1
        self._skip()
        closes = self._text.startswith(closing, self._at)
        self._at += closes
        return closes

    def _goes_on(self, closing: str) -> bool:
        """Pass a comma, or else a closing bracket."""
        comma = _NEXT.match(self._text, self._at)
        if comma:
            self._at = comma.end()
            return True
        self._skip()
        if not self._text.startswith(closing, self._at):
            raise JSONDecodeError("Expecting ',' delimiter", self._text, self._at)
        self._at += 1
        return False


def _name(place: tuple[int, ...]) -> str:
    return "texts" + "".join(f"[{index}]" for index in place)
