"""CURVE keys: what a client needs to talk to a server that has keys."""

from __future__ import annotations

import os
from typing import NamedTuple

import zmq
from zmq.auth import load_certificate
from zmq.utils import z85

KEY_LENGTH = 40

Source = str | bytes | os.PathLike[str]


class ClientKeys(NamedTuple):
    """Keys in ZeroMQ's Z85 text form, 40 bytes each.

    Attributes:
        server: the server's public key.
        public: this client's public key; the server knows it by this name.
        secret: this client's secret key.
    """

    server: bytes
    public: bytes
    secret: bytes

    def apply(self, socket: zmq.Socket) -> None:
        """Make a socket use them; before it connects."""
        socket.curve_serverkey = self.server
        socket.curve_publickey = self.public
        socket.curve_secretkey = self.secret


def load_keys(server_key: Source | None, client_keys: Source | None) -> ClientKeys | None:
    """The keys that the constructor's arguments name; None without any.

    Args:
        server_key: path of the server's public key file, or the 40 characters of the key.
        client_keys: path of this client's secret key file; without it a pair is made up, which is enough for a server
            that admits every client that knows its public key.

    Raises:
        ValueError: a file cannot be read or holds no such key, or `client_keys` came alone.
    """
    if server_key is None:
        if client_keys is not None:
            raise ValueError('"client_keys" is of no use without "server_key", the public key of the server')
        return None
    if not zmq.has("curve"):
        raise ValueError('"server_key": this pyzmq was built without CURVE; install pyzmq from its wheel')
    server = _server_key(server_key)
    public, secret = zmq.curve_keypair() if client_keys is None else _pair(client_keys)
    return ClientKeys(server, public, secret)


def _server_key(source: Source) -> bytes:
    if not isinstance(source, (str, bytes, os.PathLike)):
        raise TypeError(f'"server_key" must be a path or a key, not {type(source).__name__}')
    if os.path.isfile(source):
        return _read("server_key", source)[0]
    text = os.fsencode(source)
    if not _is_key(text):
        raise ValueError(
            f'"server_key" {os.fsdecode(source)!r} is neither a file nor a key of {KEY_LENGTH} characters; give '
            "the NAME.key file that belongs to the server's secret key"
        )
    return text


def _pair(source: Source) -> tuple[bytes, bytes]:
    if not isinstance(source, (str, bytes, os.PathLike)):
        raise TypeError(f'"client_keys" must be a path, not {type(source).__name__}')
    public, secret = _read("client_keys", source)
    if secret is None:
        raise ValueError(f'"client_keys" {os.fsdecode(source)!r} holds no secret key; give the NAME.key_secret file')
    return public, secret


def _read(name: str, source: Source) -> tuple[bytes, bytes | None]:
    path = os.fsdecode(source)
    try:
        public, secret = load_certificate(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no public key in it"
        raise ValueError(f'"{name}" {path!r} is no key file ({reason}); bert-serving-keygen makes them') from None
    if not _is_key(public) or not (secret is None or _is_key(secret)):
        raise ValueError(f'"{name}" {path!r}: a key in it has not {KEY_LENGTH} characters of Z85; copy the file again')
    return public, secret


def _is_key(text: bytes) -> bool:
    try:
        return len(text) == KEY_LENGTH and len(z85.decode(text)) == 32
    except (KeyError, ValueError):
        return False
