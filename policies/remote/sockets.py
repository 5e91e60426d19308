"""Settings of TCP sockets, by which a peer that has stopped or gone is noticed."""

import math
import socket
import struct

_IDLE_S, _EVERY_S, _PROBES = 15, 5, 4
"""Keep-alive: the first probe after so many silent seconds, then one every so many, and the
connection counts as lost after so many without an answer."""

_LONGEST_S = 1_000_000


def limit_sending(connection: socket.socket, seconds: float) -> None:
    """Have a send fail with ``BlockingIOError`` once the peer has read nothing for so long."""
    whole = min(math.floor(seconds), _LONGEST_S)
    limit = struct.pack("ll", whole, max(1, int(1e6 * (seconds % 1))))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def probe_when_idle(connection: socket.socket) -> None:
    """Have the kernel probe a silent peer: its machine answers even while its program computes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_S),
        ("TCP_KEEPINTVL", _EVERY_S),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if hasattr(socket, name):  # not everywhere
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
