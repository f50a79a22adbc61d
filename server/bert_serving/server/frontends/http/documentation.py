"""What OpenAPI says of bodies, which FastAPI itself neither reads nor writes: it would make objects of 128 MB."""

from __future__ import annotations

from typing import Any

_STRING = {"type": "string"}
_STRINGS = {"type": "array", "items": _STRING}
_OPTIONS: dict[str, Any] = {"tag": {"output": {"enum": ["entities", "tags"], "default": "entities"}}}
"""What a request may say beside what all requests may."""
_RESULTS: dict[str, Any] = {
    "encode": [[0.25, -0.5]],
    "tag": [[{"type": "name", "text": "Anna", "start": 0, "end": 4, "score": 0.98}]],
    "classify": [{"label": "good", "score": 0.9, "scores": {"bad": 0.1, "good": 0.9}}],
}
_DESCRIPTIONS = {
    "encode": "A vector for each text; with pooling strategy NONE one for each of its tokens.",
    "tag": 'For each text its entities, or its tags with "output": "tags".',
    "classify": "For each text the best label, and the scores of all.",
}


def of_task(task: str) -> dict[str, Any]:
    """The operation ``POST /task``, beside what FastAPI says of it by itself."""
    request = {
        "id": {"description": "anything; it is sent back"},
        "texts": {"oneOf": [_STRINGS, {"type": "array", "items": _STRINGS}], "description": "or lists of tokens"},
        "is_tokenized": {"type": "boolean", "description": "if given, the texts have to be so"},
        **_OPTIONS.get(task, {}),
    }
    answer: dict[str, Any] = {"id": 123, "status": 200, "truncated": [], "model": "0123456789abcdef"}
    answer["result"] = _RESULTS.get(task, [])
    if task == "encode":
        answer["results"] = answer["result"]
    example = {"id": 123, "texts": ["Anna likes it"], "is_tokenized": False}
    body = {"required": True, "content": _json(example, required=["id", "texts"], properties=request)}
    return {"description": _DESCRIPTIONS.get(task, ""), "requestBody": body, **of_answers(answer)}


def of_answers(example: dict[str, Any], *more: int) -> dict[str, Any]:
    """Answers such as the example, with status 200 and ``more``, and what comes instead of them."""
    answer = {"description": "the answer", "content": _json(example)}
    fault = {"description": "what is wrong", "status": 400, "type": "bad_request"}
    default = {"description": "a fault; its status is HTTP's too", "content": _json(fault)}
    return {"responses": {**{str(status): answer for status in (200, *more)}, "default": default}}


def _schema(example: Any) -> dict[str, Any]:
    """What the values of an answer have in common."""
    if isinstance(example, list):
        return {"type": "array", "items": _schema(example[0]) if example else {}}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object"}
    return {"type": kinds[type(example)]}


def _json(example: dict[str, Any], **schema: Any) -> dict[str, Any]:
    properties = {name: _schema(value) for name, value in example.items()}
    schema = {"type": "object", "properties": properties, **schema}
    return {"application/json": {"schema": schema, "example": example}}
