"""When a wait asks whether the server is alive, and when it gives up."""

from __future__ import annotations

from collections.abc import Callable

from bert_serving.client.requests.session import Session

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 5.0

DEFAULT_LIMIT_S = 60.0
DEFAULT_LIMIT_LEGACY_S = 600.0
FIRST_CONTACT_LIMIT_S = 10.0


class Watch:
    """One wait for the reply to any of `wanted` (which may grow and shrink meanwhile).

    Silence is counted from the start of the wait or the last message of the server, whichever is
    later. After a pause of silence the server is asked about the oldest request waited for, then
    again after growing pauses. Requests that the server refused for the moment are sent again when
    they are due, until they have been refused for the whole limit.
    """

    def __init__(
        self,
        session: Session,
        wanted: set[int],
        limit: Callable[[], float | None],
        give_up: Callable[[float], TimeoutError],
        now: float,
    ) -> None:
        self._session = session
        self._wanted = wanted
        self._limit = limit
        self._give_up = give_up
        self._start = now
        self._growth = 1.0

    def step(self, now: float) -> float:
        """Do what is due and return the seconds until the next step.

        Raises:
            TimeoutError: the silence has lasted for the whole limit.
        """
        session, limit = self._session, self._limit()
        if session.resend_refused(now):
            return 0.0
        silent_since = max(self._start, session.last_sign)
        if limit is not None and now - silent_since >= limit:
            raise self._give_up(limit)
        quarter = float("inf") if limit is None else limit / 4
        pause = min(FIRST_PAUSE_S * self._growth, LONGEST_PAUSE_S, quarter)
        question_due = max(silent_since, session.last_question) + pause
        if now >= question_due:
            self._ask(now)
            self._growth *= 2
            question_due = now + pause
        until_limit = float("inf") if limit is None else silent_since + limit - now
        until_retry = session.refused.next_due(self._wanted) - now
        return max(min(question_due - now, until_limit, until_retry), 0.001)

    def _ask(self, now: float) -> None:
        session = self._session
        known = (one for one in self._wanted if one in session.pending and one not in session.refused)
        oldest = min(known, default=None)
        if oldest is not None:
            session.ask(oldest, now)
