"""CURVE keys of the ZeroMQ door: its own pair, and the clients that may connect."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import zmq
from bert_serving.server.monitoring.logs import Throttle, get_logger
from bert_serving.server.options import ServerOptions
from zmq.auth import CURVE_ALLOW_ANY, load_certificate
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from bert_ft.errors import BertFtError

_DOMAIN = "bert-ft"


class CurveKeys:
    """A server's keys.

    Args:
        secret_file: what bert-serving-keygen wrote as NAME.key_secret.
        clients: folder with the NAME.key files of the clients that may connect; None admits every client that knows
            the server's public key.

    Attributes:
        names_clients: whether only the clients of a folder may connect.
        warnings: lines for the log.

    Raises:
        BertFtError: a file holds no key, or the folder holds none.
    """

    def __init__(self, secret_file: Path, clients: Path | None) -> None:
        self._public, secret = _read(secret_file, "-curve_secret_key_file")
        if secret is None:
            raise BertFtError(
                f"{secret_file}: holds no secret key; give -curve_secret_key_file the NAME.key_secret file"
            )
        self._secret = secret
        self._clients = ClientFolder(clients) if clients else None
        self.names_clients = self._clients is not None
        self._authenticator: ThreadAuthenticator | None = None
        open_to_others = os.name == "posix" and secret_file.stat().st_mode & 0o077
        self.warnings = [f"{secret_file}: other users may read it; run chmod 600"] if open_to_others else []

    def start(self, context: zmq.Context) -> None:
        """Answer the handshakes of a context's sockets, in a thread; before they are bound."""
        self._authenticator = ThreadAuthenticator(context, log=get_logger("ZAP"))
        if self._clients is None:
            self._authenticator.configure_curve(domain=_DOMAIN, location=CURVE_ALLOW_ANY)
        else:
            self._authenticator.configure_curve_callback(domain=_DOMAIN, credentials_provider=self._clients)
        self._authenticator.start()

    def apply(self, socket: zmq.Socket) -> None:
        """Let nobody without a key connect to a socket; before it is bound."""
        socket.curve_server = True
        socket.curve_publickey = self._public
        socket.curve_secretkey = self._secret
        socket.zap_domain = _DOMAIN.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # else libzmq admits everyone while no authenticator runs

    def stop(self) -> None:
        """End the thread; after the sockets were closed, before their context is."""
        if self._authenticator is not None:
            self._authenticator.stop()


class ClientFolder:
    """The public keys of a folder, read again whenever a file of it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state: list[tuple[str, int, int]] = []
        self._keys: dict[bytes, str] = {}
        self._logger = get_logger("ZAP")
        self._may_log = Throttle()
        if not folder.is_dir():
            raise BertFtError(f"{folder}: no such directory; give -curve_client_keys a folder of NAME.key files")
        for path in sorted(folder.glob("*.key")):
            _read(path, "-curve_client_keys")
        self._refresh()
        if not self._keys:
            raise BertFtError(
                f"{folder}: no NAME.key file in it, so nobody could connect; put the clients' public keys there"
            )

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a client may connect; what zmq.auth calls, in its thread. Never raises: that would end the thread."""
        try:
            self._refresh()
        except OSError as error:
            self._keys, self._state = {}, []
            self._logger.warning("%s: cannot be read (%s): nobody may connect", self._folder, error.strerror)
        if key not in self._keys and self._may_log():
            self._logger.warning("a client with the key %s was refused: not in %s", key.decode("ascii"), self._folder)
        return key in self._keys

    def _refresh(self) -> None:
        files, state = [], []
        for path in sorted(self._folder.glob("*.key")):
            with contextlib.suppress(FileNotFoundError):  # taken out just now
                status = path.stat()
                files.append(path)
                state.append((path.name, status.st_mtime_ns, status.st_size))
        if state == self._state:
            return
        keys: dict[bytes, str] = {}
        for path in files:
            try:
                keys[_read(path, "-curve_client_keys")[0]] = path.name
            except BertFtError as error:
                self._logger.warning("%s; left out", error)
        if self._state:
            self._logger.info("%s: %d clients may connect", self._folder, len(keys))
        self._keys, self._state = keys, state


def load_curve_keys(options: ServerOptions) -> CurveKeys | None:
    """The keys that the flags name; None without any. Raises what :class:`CurveKeys` does."""
    if options.curve_secret_key_file is None:
        if options.curve_client_keys is not None:
            raise BertFtError("-curve_client_keys needs -curve_secret_key_file: make a pair with bert-serving-keygen")
        return None
    if not zmq.has("curve"):
        raise BertFtError("-curve_secret_key_file: this pyzmq was built without CURVE; install pyzmq from its wheel")
    clients = None if options.curve_client_keys is None else Path(options.curve_client_keys)
    return CurveKeys(Path(options.curve_secret_key_file), clients)


def _read(path: Path, flag: str) -> tuple[bytes, bytes | None]:
    try:
        public, secret = load_certificate(path)
        for key in (public, secret):
            if key is not None and len(z85.decode(key)) != 32:
                raise ValueError
    except OSError as error:
        raise BertFtError(f"{path}: cannot be read ({error.strerror or 'no such file'}); see {flag}") from None
    except (ValueError, KeyError):
        raise BertFtError(f"{path}: no key file of bert-serving-keygen; see {flag}") from None
    return public, secret
