"""`BertClient`: the bert-as-service 1.10.0 client, compatible and mended."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import zmq
from bert_serving.client import wire
from bert_serving.client.base import ClientCore
from bert_serving.client.checks import Texts, check_tag_output
from bert_serving.client.requests.stream import Stream
from bert_serving.client.results import Classification, Response, array_of, classifications_of, entities_of, info_of
from bert_serving.client.sockets import CallGuard


class BertClient(ClientCore):
    """A connection to a bert-ft or bert-as-service 1.10.0 server, for one thread.

    The constructor takes what `ClientCore` describes, and contacts the server unless told not to.

    Example::

        with BertClient() as client:
            vectors = client.encode(["First do it", "then do it right"])   # float32 [2, D]
    """

    def _open(self) -> None:
        self._guard = CallGuard(self._check_usable)
        self._connection = self._connected(zmq.Context())
        if not self._checks_server:
            return
        try:
            self._accept_config(self._command(wire.SHOW_CONFIG, first=True))
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection; replies still under way are lost. Harmless when repeated."""
        if self._connection.closed or self._is_forked():
            return
        with self._guard:
            self._connection.close()

    def __enter__(self) -> BertClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def server_config(self) -> dict[str, Any]:
        """The server's configuration, asked anew each time."""
        return self._command(wire.SHOW_CONFIG)

    @property
    def server_status(self) -> dict[str, Any]:
        """The server's configuration and its statistics, asked anew each time."""
        return self._command(wire.SHOW_STATUS)

    def encode(self, texts: Texts, blocking: bool = True, is_tokenized: bool = False, show_tokens: bool = False) -> Any:
        """Encode texts into vectors.

        Args:
            texts: list of N strings, or with `is_tokenized` a list of N lists of tokens.
            blocking: wait for the result; otherwise get it later by `fetch` or `fetch_all`.
            is_tokenized: take the texts as tokens, without the server's tokenizer.
            show_tokens: return the server's tokens too (it must run with ``-show_tokens_to_client``).

        Returns:
            A writable float array [N, D], or [N, T, D] without pooling (nested lists with
            ``output_fmt="list"``); with `show_tokens` a pair of this and the tokens of each text;
            None if not blocking.

        Raises:
            TypeError: `texts` is not a list of str (of lists of str).
            ValueError: the list or one of the texts is empty.
        """
        with self._guard:
            request_id = self._open_encode(texts, is_tokenized)
            if not blocking:
                self._session.detached.add(request_id)
                self._flush()
                return None
            return self._encoded(self._answer(request_id), show_tokens)

    def tag(self, texts: Texts, is_tokenized: bool = False, output: str = "entities") -> list[list[Any]]:
        """Find the entities of texts of any length with a model that has a tagging head.

        The server cuts a long text into overlapping windows, at sentence ends where it can, and joins what it finds.

        Example::

            text = "浙商银行企业信贷部叶老桂博士则从另一个角度对五道门槛进行了解读。"
            for entity in client.tag([text])[0]:
                assert text[entity.start : entity.end] == entity.text

        Args:
            texts: list of N strings, or with `is_tokenized` a list of N lists of tokens.
            is_tokenized: tag the given tokens; entities then count tokens.
            output: "entities", or "tags" for BIO tags.

        Returns:
            For each text a list of `Entity` in order, without overlaps; its score is the model's probability of the
            entity's tags. With ``output="tags"`` for each text one tag a character (white space inside an
            entity included), or one a given token: "B-type" where an entity begins, "I-type" in the rest of
            it, "O" elsewhere.

        Raises:
            TypeError, ValueError: as for `encode`, or `output` is not known.
            NoHeadError: the model has no tagging head; the message says what it has.
            UnsupportedByServerError: a bert-as-service 1.10.0 server, to which nothing was sent.
        """
        output = check_tag_output(output)
        self._know_server()
        with self._guard:
            request_id = self._open_task(texts, is_tokenized, task="tag", output=output)
            return entities_of(self._answer(request_id), output)

    def classify(self, texts: list[str]) -> list[Classification]:
        """Classify texts with a model that has a classification head.

        Example::

            for text, found in zip(texts, client.classify(texts)):
                print(f"{found.label} {found.score:.2f} {text}")

        Args:
            texts: list of N strings; ``first ||| second`` is a pair, as for `encode`.

        Returns:
            A `Classification` for each text. A text longer than the server's max_seq_len is cut, with a warning.

        Raises:
            as for `tag`.
        """
        self._know_server()
        with self._guard:
            request_id = self._open_task(texts, False, task="classify")
            return classifications_of(self._answer(request_id), self._notice())

    def fetch(self, delay: float = 0.0) -> Iterator[Response]:
        """Yield the results of ``encode(blocking=False)`` as they arrive.

        After a request's error or a TimeoutError the other requests remain; call `fetch` again for them.

        Args:
            delay: seconds to sleep first.
        """
        time.sleep(delay)
        notice = self._notice()
        while self._session.detached:
            with self._guard:
                reply = self._wait(self._session.detached)
            yield self._response(array_of(reply), notice)

    def fetch_all(self, sort: bool = True, concat: bool = False) -> Any:
        """Collect the results of ``encode(blocking=False)``.

        If it raises, the other results are kept: call it again for them.

        Args:
            sort: in order of sending, otherwise of arrival.
            concat: join them into one array or list.

        Returns:
            A list with one array [N, D] (or nested list) a request, or one for all; None if nothing
            was pending.
        """
        wanted = self._session.detached
        if not wanted:
            return None
        replies: list[wire.ArrayReply] = []
        try:
            while wanted:
                with self._guard:
                    replies.append(array_of(self._wait(wanted)))
            return self._joined(replies, sort, concat)
        except BaseException:
            self._session.put_back(replies)
            raise

    def encode_async(
        self,
        batch_generator: Iterable[Texts],
        max_num_batch: int | None = None,
        delay: float = 0.1,
        is_tokenized: bool = False,
        show_tokens: bool = False,
    ) -> Iterator[Response]:
        """Encode batches from an iterable and yield the results as they arrive.

        Batches are drawn in the caller's thread between results, a bounded number ahead, so drawing
        one must not depend on a result that was not yielded yet. If drawing one fails, the results
        of the batches before it are yielded first. Stopping early drops the rest; after an error of
        the server the rest remains for `fetch`.

        Args:
            batch_generator: yields lists of texts as for `encode`.
            max_num_batch: stop after this many batches; None or 0 for all.
            delay: accepted for compatibility, without effect.
            is_tokenized: as for `encode`.
            show_tokens: accepted for compatibility; results carry the tokens that the server sends.
        """
        return self._stream(iter(batch_generator), Stream(self._session, max_num_batch), is_tokenized)

    def _stream(self, source: Iterator[Texts], stream: Stream, is_tokenized: bool) -> Iterator[Response]:
        notice = self._notice()
        try:
            while True:
                reply: wire.Reply | None
                if stream.wants_more():
                    self._send_next(source, stream, is_tokenized)
                    with self._guard:
                        reply = self._arrived(stream.waiting)
                elif stream.waiting:
                    with self._guard:
                        reply = self._wait(stream.waiting)
                else:
                    return stream.finish()
                while reply is not None:
                    yield self._response(array_of(reply), notice)
                    reply = self._session.take(stream.waiting)
        except Exception:
            stream.hand_over()
            raise
        finally:
            stream.close()

    def _send_next(self, source: Iterator[Texts], stream: Stream, is_tokenized: bool) -> None:
        try:
            texts = next(source)
            with self._guard:
                stream.sent(self._open_encode(texts, is_tokenized))
                self._flush()
        except StopIteration:
            stream.end()
        except Exception as failure:
            stream.end(failure)

    def _command(self, command: bytes, first: bool = False) -> dict[str, Any]:
        with self._guard:
            info = info_of(self._answer(self._session.open(command), first))
        if command == wire.SHOW_CONFIG:
            self._session.learn(info)
        return info

    def _know_server(self) -> None:
        if self._session.server is None:
            self._command(wire.SHOW_CONFIG, first=True)

    def _answer(self, request_id: int, first: bool = False) -> wire.Reply:
        """Wait for one reply; if the wait fails the request is forgotten."""
        try:
            return self._wait({request_id}, first)
        except BaseException:
            self._session.forget([request_id])
            raise

    def _wait(self, wanted: set[int], first: bool = False) -> wire.Reply:
        watch = self._watch(wanted, time.monotonic(), first)
        while True:
            reply = self._session.take(wanted)
            if reply is not None:
                return reply
            try:
                pause = watch.step(time.monotonic())
            except TimeoutError as error:
                raise self._explained(error, first) from None
            self._flush()
            if self._session.refused.to_look:
                self._session.looked(self._absence(), time.monotonic())
            else:
                self._receive(pause)

    def _arrived(self, wanted: set[int]) -> wire.Reply | None:
        """Take in what has arrived, without waiting."""
        while self._receive(0):
            pass
        self._flush()
        return self._session.take(wanted)

    def _receive(self, pause: float) -> bool:
        receiver = self._connection.receiver
        if not receiver.poll(math.ceil(pause * 1000)):
            return False
        frames = receiver.recv_multipart(copy=False)
        self._session.receive([frame.buffer for frame in frames], time.monotonic())
        return True

    def _check_usable(self) -> None:
        self._check_process()
        if self._connection.closed:
            raise RuntimeError("this client is closed")
