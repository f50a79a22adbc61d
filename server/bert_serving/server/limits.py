"""What one server gives to those who ask it, and no more: the ceilings that protect its memory and its time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Ceilings beside those that are flags. Bytes are of memory, "together" is of all peers.

    Example:
        >>> Limits(zmq_gone_seconds=0.5).zmq_hold_seconds
        60.0
    """

    max_request_bytes: int = 128 << 20  # of the JSON of a request
    max_text_characters: int = 1 << 20  # of a text; the tokenizer takes some 300 bytes a character
    max_tokens: int = 1 << 22  # of all lists of tokens in a ZeroMQ request
    max_waiting_bytes: int = 4 << 30  # of unanswered requests together
    waiting_text_bytes: int = 4 << 10  # what a text may take beside its JSON (ZeroMQ), as word pieces and as a vector
    max_reply_bytes: int = 2 << 30  # of an answer
    max_log_lines: int = 10  # a second, about peers' faults
    zmq_max_identity_bytes: int = 1 << 10  # of a client
    zmq_max_identities: int = 10_000  # of one connection: libzmq keeps what it subscribes to
    # of messages without an end together, at one port; one connection may send 3 max_request_bytes to that of requests
    zmq_max_unended_bytes: int = 4 << 30
    # of a message without an end at the port of results; far more than a subscription, for what a peer sends within a
    # second may add to it
    zmq_max_subscription_bytes: int = 16 << 20
    zmq_gone_seconds: float = 10.0  # a client whose network failed for less finds its requests as it left them
    zmq_hold_seconds: float = 60.0  # that a reply waits for a reader who does not listen
    zmq_max_replies: int = 100_000  # that wait for one client
    zmq_max_reply_bytes: int = 256 << 20  # that wait for one client
    zmq_max_held_bytes: int = 1 << 30  # of replies together that wait for readers who do not listen
    # of waiting replies together; beyond it the oldest goes, though its reader listens: it does not read
    zmq_max_all_reply_bytes: int = 2 << 30
    zmq_waiting_reply_bytes: int = 512  # what a waiting reply takes beside its frames
    # of large frames that libzmq holds for one reader; its high-water mark counts messages, whatever their size
    zmq_max_socket_bytes: int = 64 << 20
    http_max_json_values: int = 5_000_000  # of a request; a value of two bytes takes sixty in memory
    http_max_body_bytes: int = 1 << 30  # of requests together that come in, or wait, or are worked on
    http_body_seconds: float = 60.0  # for a body to come
    http_max_numbers: int = 1 << 24  # of an answer: written out, and twice, one takes some 40 bytes
    http_max_answer_bytes: int = 2 << 30  # of answers together that are on their way
    http_read_seconds: float = 60.0  # for a megabyte of an answer to be read
    http_header_seconds: float = 10.0  # for the header of a request, from its first byte or the connection's beginning
    # for the rest of an answer; who has closed one direction of a connection may have closed both: there is no telling
    # without an answer
    http_half_closed_seconds: float = 2.0
    http_idle_seconds: int = 75  # between two requests: longer than the pools of most clients keep a connection


DEFAULT = Limits()
"""Those of a server that is given no others."""
