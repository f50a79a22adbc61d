"""bert-as-service's server on today's Python and TensorFlow: ``BertServer`` runs one inside a Python program."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bert_serving.server.limits import Limits
    from bert_serving.server.server import Server

__all__ = ["BertServer"]


class BertServer(threading.Thread):
    """A server in a thread; its workers are processes of their own.

    ::

        args = get_args_parser().parse_args(["-model_dir", "output", "-port", "5555", "-port_out", "5556"])
        with BertServer(args):
            vectors = BertClient().encode(["first", "second"])

    Args:
        args: what ``bert_serving.server.helper.get_args_parser()`` gives, or any object with those attributes.
        limits: ceilings that protect it, instead of the usual ones.

    Attributes:
        is_ready: set when the server answers. ``is_ready.wait()`` raises the reason if it never will.
    """

    def __init__(self, args: Any, limits: Limits | None = None) -> None:
        super().__init__(name="BertServer", daemon=True)
        from bert_serving.server.options import ServerOptions

        self._options = ServerOptions.from_object(args)
        self._limits = limits
        self._server: Server | None = None
        self.is_ready = _ReadyEvent()

    def start(self) -> None:
        """Check the flags, bind the ports and start the workers; does not wait for them.

        Raises:
            BertFtError: something the user can mend.
        """
        from bert_serving.server.server import Server

        self._server = Server(self._options, self.is_ready.set, self._limits)
        super().start()

    def run(self) -> None:
        assert self._server is not None
        try:
            asyncio.run(self._server.run())
        except BaseException as error:
            self.is_ready.fail(error)
        else:
            self.is_ready.clear()

    def close(self) -> None:
        """Finish running requests, end the workers and free the ports; returns when that is done."""
        if self._server is not None and self.is_alive():
            self._server.stop_threadsafe()
            self.join()

    def __enter__(self) -> BertServer:
        self.start()
        self.is_ready.wait()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @staticmethod
    def shutdown(args: Any) -> None:
        """Stop the server at ``args.ip``, ``args.port`` within ``args.timeout`` milliseconds.

        Raises:
            BertFtError: no server was there, or it did not stop.
        """
        from bert_serving.server.commands.remote import RunningServer

        more = {name: getattr(args, name, None) for name in ("port_out", "server_key", "client_keys")}
        RunningServer(args.ip, args.port, args.timeout, **more).terminate()


class _ReadyEvent(threading.Event):
    """Wakes its waiters too when what they wait for cannot come any more."""

    def __init__(self) -> None:
        super().__init__()
        self._error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        self._error = error
        self.set()

    def is_set(self) -> bool:
        return self._error is None and super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(timeout)
        if self._error is not None:
            raise self._error
        return self.is_set()
