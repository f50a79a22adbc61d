"""Checks of arguments, the same for the plain and the asyncio client."""

from __future__ import annotations

import uuid

Texts = list[str] | list[list[str]]


def check_texts(texts: object, is_tokenized: bool) -> None:
    """Refuse what no server could encode.

    Raises:
        TypeError: `texts` is not a list, or an element has the wrong type.
        ValueError: the list, an element or a list of tokens is empty or blank.
    """
    if not is_tokenized:
        _check_strings(texts, "texts")
        return
    _check_list(texts, "texts")
    for index, tokens in enumerate(texts):  # type: ignore[arg-type, var-annotated]
        _check_strings(tokens, f"texts[{index}]")


def has_long_text(texts: Texts, limit: int) -> bool:
    """Whether a text has more tokens (or words between spaces) than `limit`."""
    return any(len(text.split() if isinstance(text, str) else text) > limit for text in texts)


def check_identity(identity: bytes | str | None) -> bytes:
    """The identity as bytes; a random one for None.

    Raises:
        TypeError: neither bytes nor str.
        ValueError: empty, or containing NUL (which ends the identity in the server's replies).
    """
    if identity is None:
        return str(uuid.uuid4()).encode("ascii")
    if not isinstance(identity, (bytes, str)):
        raise TypeError(f'"identity" must be bytes or str, not {type(identity).__name__}')
    raw = identity.encode("utf-8") if isinstance(identity, str) else identity
    if not raw:
        raise ValueError('"identity" is empty; leave it out to get a random one')
    if b"\0" in raw:
        raise ValueError(f'"identity" {identity!r} contains a NUL character; choose one without')
    return raw


def check_port(name: str, port: object) -> int:
    """`port` if it is a TCP port number, else TypeError or ValueError."""
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f'"{name}" must be an int, not {type(port).__name__}')
    if not 0 < port < 65536:
        raise ValueError(f'"{name}" must lie between 1 and 65535, not {port}')
    return port


def check_output_fmt(output_fmt: object) -> str:
    """`output_fmt` if it is known, else AttributeError (as in 1.10.0)."""
    if output_fmt not in ("ndarray", "list"):
        raise AttributeError(f'"output_fmt" must be "ndarray" or "list", not {output_fmt!r}')
    return str(output_fmt)


def check_tag_output(output: object) -> str:
    """`output` of `tag` if it is known, else ValueError."""
    if output not in ("entities", "tags"):
        raise ValueError(f'"output" must be "entities" or "tags", not {output!r}')
    return str(output)


def check_timeout(timeout: object) -> int | None:
    """`timeout` in ms, -1 (for ever) or None (the default), else TypeError or ValueError."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int):
        raise TypeError(f'"timeout" must be an int (ms) or None, not {type(timeout).__name__}')
    if timeout < 1 and timeout != -1:
        raise ValueError(f'"timeout" must be positive (ms), or -1 to wait for ever, not {timeout}')
    return timeout


def _check_list(value: object, name: str) -> None:
    if not isinstance(value, list):
        raise TypeError(f'"{name}" must be a list, but received {type(value).__name__}')
    if not value:
        raise ValueError(f'"{name}" must be a non-empty list')


def _check_strings(value: object, name: str) -> None:
    _check_list(value, name)
    for index, text in enumerate(value):  # type: ignore[arg-type, var-annotated]
        if not isinstance(text, str):
            raise TypeError(f'"{name}" must hold strings, but element {index} is {type(text).__name__}')
        if not text.strip():
            raise ValueError(f'"{name}" must hold non-empty strings, but element {index} is {text!r}')
