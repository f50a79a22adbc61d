"""Lists in messages: a model may have 50,000 labels."""

from __future__ import annotations

from collections.abc import Sequence

MAX = 20


def first_of(names: Sequence[str], separator: str = ", ", maximum: int = MAX) -> str:
    """The first of some names, and how many more there are.

    Example:
        >>> first_of(["a", "b", "c", "d"], maximum=2)
        'a, b and 2 more'
    """
    more = f" and {len(names) - maximum} more" if len(names) > maximum else ""
    return separator.join(names[:maximum]) + more
