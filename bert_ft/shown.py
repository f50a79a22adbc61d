"""Lists in messages: a model may have 50,000 labels."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 20


def first_of(names: Sequence[str], separator: str = ", ", most: int = MOST) -> str:
    """The first of some names, and how many more there are.

    Example:
        >>> first_of(["a", "b", "c", "d"], most=2)
        'a, b and 2 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return separator.join(names[:most]) + more
