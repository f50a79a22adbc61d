"""What the plain and the asyncio client share: settings, checks, warnings, results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import zmq
from bert_serving.client import checks, wire
from bert_serving.client.errors import UnsupportedByServerError
from bert_serving.client.handshake import handshake_fault
from bert_serving.client.keys import Source, load_keys
from bert_serving.client.requests.session import ServerFacts, Session
from bert_serving.client.requests.watch import DEFAULT_LIMIT_LEGACY_S, DEFAULT_LIMIT_S, FIRST_CONTACT_LIMIT_S, Watch
from bert_serving.client.results import Response, TruncationNotice, array_of, warn
from bert_serving.client.sockets import Connection, S, somebody_listens


class ClientCore:
    """Settings and state of a client, without sockets.

    Args:
        ip: address of the server.
        port: the server's ``-port``.
        port_out: the server's ``-port_out``.
        output_fmt: "ndarray", or "list" for nested lists of floats.
        show_server_config: print the server's configuration.
        identity: name under which replies are sent, bytes or str, unique among live clients;
            random by default.
        check_version: raise AttributeError unless the server speaks protocol version 1.10.0.
        check_length: with a 1.10.0 server, warn of texts with more words than its max_seq_len. A
            bert-ft server reports which texts it cut, and the warning counts those instead.
        check_token_info: find out whether the server shows tokens.
        ignore_all_checks: do not contact the server yet.
        timeout: ms without a sign of life from the server until TimeoutError, -1 to wait for ever.
            The default is 60 s, however long the work takes: a waiting client asks the server for
            the state of its request. A 1.10.0 server cannot answer that, so there the default is
            600 s of plain waiting. The constructor waits 10 s at most, but for ever with -1.
        server_key: for a server with keys: path of its public key file, or the 40-character key.
        client_keys: path of this client's secret key file, for a server that admits named clients
            only; without it, one made up for this connection.
        retry: send a request that the server refuses because its queue is full or because it is shutting
            down again, after growing pauses, for as long as `timeout`; only then, or with False at once,
            ServerOverloadedError or ServerShuttingDownError is raised. The latter is raised earlier when after
            such a refusal nobody has listened at `port` for 10 s, unless `timeout` is -1.

    Raises:
        TimeoutError: no sign of life from the server.
        BertServingError: the server refuses or fails a request.
    """

    _connection: Connection[Any]

    def __init__(
        self,
        ip: str = "localhost",
        port: int = 5555,
        port_out: int = 5556,
        output_fmt: str = "ndarray",
        show_server_config: bool = False,
        identity: bytes | str | None = None,
        check_version: bool = True,
        check_length: bool = True,
        check_token_info: bool = True,
        ignore_all_checks: bool = False,
        timeout: int | None = None,
        *,
        server_key: Source | None = None,
        client_keys: Source | None = None,
        retry: bool = True,
    ) -> None:
        if not isinstance(ip, str):
            raise TypeError(f'"ip" must be a str, not {type(ip).__name__}')
        self.ip = ip
        self.port = checks.check_port("port", port)
        self.port_out = checks.check_port("port_out", port_out)
        self.output_fmt = checks.check_output_fmt(output_fmt)
        self.identity = checks.check_identity(identity)
        self.timeout = checks.check_timeout(timeout)
        self._keys = load_keys(server_key, client_keys)
        self.length_limit: int | None = 0
        self.token_info_available = False
        self._check_version = check_version
        self._check_length = check_length
        self._check_token_info = check_token_info
        self._show_server_config = show_server_config
        self._checks_server = not ignore_all_checks and (
            check_version or check_length or check_token_info or show_server_config
        )
        self._session = Session(self.identity, self._limit if retry else None)
        self._pid = os.getpid()
        self._open()

    def _open(self) -> None:
        """Open the connection; the end of construction."""

    @property
    def status(self) -> dict[str, Any]:
        """State of this client; `timeout` in ms (-1: for ever), `pending_request` a set of ids."""
        session = self._session
        pending = set(session.pending) | session.detached
        limit = self._limit()
        return {
            "identity": self.identity,
            "num_request": session.last_id,
            "num_pending_request": len(pending),
            "pending_request": pending,
            "output_fmt": self.output_fmt,
            "port": self.port,
            "port_out": self.port_out,
            "server_ip": self.ip,
            "client_version": wire.CLIENT_PROTOCOL_VERSION,
            "timeout": -1 if limit is None else round(limit * 1000),
        }

    def _connected(self, context: zmq.Context[S]) -> Connection[S]:
        return Connection(self, context, self.identity, self.ip, self.port, self.port_out, self._keys)

    def _flush(self) -> None:
        self._connection.send_all(self._session.outbox)

    def _is_forked(self) -> bool:
        return os.getpid() != self._pid

    def _check_process(self) -> None:
        if self._is_forked():
            raise RuntimeError(
                f"this client was made in process {self._pid} and cannot be used in its fork {os.getpid()}; "
                "make a client in each process"
            )

    def _accept_config(self, config: Mapping[str, Any]) -> None:
        """Apply the first SHOW_CONFIG answer; AttributeError on a foreign protocol version."""
        version = config.get("server_version")
        if self._check_version and version != wire.CLIENT_PROTOCOL_VERSION:
            raise AttributeError(
                f"version mismatch: the server speaks version {version}, this client "
                f'{wire.CLIENT_PROTOCOL_VERSION}; "check_version=False" disables this check'
            )
        if self._check_length:
            self.length_limit = ServerFacts.from_config(config).max_seq_len
        if self._check_token_info:
            self.token_info_available = bool(config.get("show_tokens_to_client"))
        if self._show_server_config:
            print("server config:")
            for key, value in config.items():
                print(f"{key:>30}\t=\t{value!s}")

    def _open_encode(self, texts: checks.Texts, is_tokenized: bool) -> int:
        checks.check_texts(texts, is_tokenized)
        self._warn_of_length(texts)
        return self._session.open(wire.json_bytes(texts), len(texts))

    def _open_task(self, texts: checks.Texts, is_tokenized: bool, **extra: str) -> int:
        """As `_open_encode` for a task that 1.10.0 does not know; what the server is must be known."""
        checks.check_texts(texts, is_tokenized)
        server = self._session.server
        if server is None or not server.is_bert_ft:
            raise UnsupportedByServerError(
                f"this server is bert-as-service 1.10.0: it knows encode(), but not {extra['task']}(); "
                "serve the model with bert-ft"
            )
        return self._session.open(wire.json_bytes(texts), len(texts), extra)

    def _limit(self, first: bool = False) -> float | None:
        """Seconds of silence a wait may last, None for ever; fewer for the first contact: nothing may be listening."""
        server = self._session.server
        if self.timeout == -1:
            return None
        if self.timeout is not None:
            limit = self.timeout / 1000
        else:
            limit = DEFAULT_LIMIT_S if server is None or server.is_bert_ft else DEFAULT_LIMIT_LEGACY_S
        return min(limit, FIRST_CONTACT_LIMIT_S) if first else limit

    def _watch(self, wanted: set[int], now: float, first: bool = False) -> Watch:
        return Watch(self._session, wanted, partial(self._limit, first), partial(self._no_sign_of_life, first), now)

    def _no_sign_of_life(self, first: bool, limit: float) -> TimeoutError:
        how_long = (
            f'the first contact waits {limit:g} s at most; "timeout=-1" waits for the server to come up'
            if first
            else '"timeout" sets the ms to wait, -1 waits for ever'
        )
        return TimeoutError(
            f"{self._silence(limit)}: check that it is running, that both ports are its own, and that no firewall "
            f"closes one of them ({how_long})"
        )

    def _explained(self, error: TimeoutError, first: bool) -> TimeoutError:
        """`error`, or what is wrong with the keys, if that is why the server is silent; takes up to a second."""
        limit, fault = self._limit(first), handshake_fault(self.ip, self.port, self._keys)
        return error if fault is None or limit is None else TimeoutError(f"{self._silence(limit)}: {fault}")

    def _silence(self, limit: float) -> str:
        return f"no sign of life from the server {self.ip} (port={self.port}, port_out={self.port_out}) for {limit:g} s"

    def _absence(self) -> str | None:
        """What to say if nobody listens any more, after the server said that it stops; takes up to a second."""
        if somebody_listens(self.ip, self.port):
            return None
        return f"the server at {self.ip}:{self.port} has shut down and none has taken its place"

    def _warn_of_length(self, texts: checks.Texts) -> None:
        """The guess by words, for servers that do not report which texts they cut."""
        server = self._session.server
        if server is None or server.is_bert_ft:
            return
        if self.length_limit is None:
            warn(
                'the server has no fixed "max_seq_len" and takes the longest text of each batch; '
                "keep texts short for speed"
            )
        elif self.length_limit and checks.has_long_text(texts, self.length_limit):
            warn(
                f'some texts have more tokens than the server\'s "max_seq_len={self.length_limit}" and '
                'will be cut; start the server with a larger "-max_seq_len", or silence this by "check_length=False"'
            )

    def _response(self, reply: wire.ArrayReply, notice: TruncationNotice) -> Response:
        notice.see(reply)
        array = reply.array
        embedding = array.tolist() if self.output_fmt == "list" else array
        return Response(reply.request_id, embedding, reply.tokens)

    def _encoded(self, reply: wire.Reply, show_tokens: bool) -> Any:
        """What `encode` returns for its reply."""
        response = self._response(array_of(reply), self._notice())
        if not show_tokens:
            return response.embedding
        if isinstance(response.tokens, list):
            return response.embedding, response.tokens
        warn(
            '"show_tokens=True", but the server shows no tokens; start it with "-show_tokens_to_client", '
            'or leave "show_tokens" out'
        )
        return response.embedding

    def _joined(self, replies: list[wire.ArrayReply], sort: bool, concat: bool) -> Any:
        """What `fetch_all` returns for its replies."""
        if sort:
            replies = sorted(replies, key=lambda reply: reply.request_id)
        notice = self._notice()
        embeddings = [self._response(reply, notice).embedding for reply in replies]
        if not concat:
            return embeddings
        if self.output_fmt == "list":
            return [row for rows in embeddings for row in rows]
        return np.concatenate(embeddings, axis=0)

    def _notice(self) -> TruncationNotice:
        return TruncationNotice(self._session)
