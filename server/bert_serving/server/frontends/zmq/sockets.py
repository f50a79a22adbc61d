"""Binding a ZeroMQ socket, with a reason when it cannot be done."""

from __future__ import annotations

import errno

import zmq

from bert_ft.errors import BertFtError


def bind(socket: zmq.Socket[bytes], host: str, port: int, flag: str) -> None:
    """Bind to a numeric address or ``localhost``.

    Raises:
        BertFtError: the port is taken, or the address is not of this machine; ``flag`` says which port it was.
    """
    address = "127.0.0.1" if host == "localhost" else host
    address = f"[{address}]" if ":" in address and not address.startswith("[") else address
    try:
        socket.bind(f"tcp://{address}:{port}")
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            message = f"port {port} ({flag}) is in use; stop the other server or give another {flag}"
        elif error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV, errno.EINVAL):
            message = f"-host {host}: not an address of this machine; give a numeric one such as 0.0.0.0"
        else:
            message = f"port {port} ({flag}) cannot be opened: {error.strerror}"
        raise BertFtError(message) from None
