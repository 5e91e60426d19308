"""The policy ``remote`` with several connections at once."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from policies.remote.connection import ServerError
from tests.policies.remote.server import HORIZON, PolicyServer, answer, broken
from tests.policies.remote.test_policy import build, heights, request


def test_requests_of_several_episodes_are_sent_at_once_each_over_its_own_connection() -> None:
    together = threading.Barrier(3, timeout=20)
    sockets: dict[float, set[int]] = {}

    def meet(server: PolicyServer, socket: Any, message: dict[str, Any]) -> None:
        sockets.setdefault(round(message["observation/state"][2], 3), set()).add(id(socket))
        together.wait()  # breaks unless all three are asked for before the first answer
        answer(server, socket, message)

    with PolicyServer(usual=meet) as server:
        policy = build(server.port, horizon=HORIZON, connections=3)
        named = [replace(request(height), episode=f"e{height}") for height in (0.1, 0.2, -0.3)]
        for order in (named, named[::-1], named):
            assert heights(policy.plan(order)) == [
                round(float(each.window[0]["ee_pos"][2]), 3) for each in order
            ]
        assert server.connections == 3
    assert all(len(each) == 1 for each in sockets.values())
    assert len(set.union(*sockets.values())) == 3


def test_more_episodes_than_connections_wait_for_one_another() -> None:
    with PolicyServer() as server:
        policy = build(server.port, horizon=HORIZON, connections=2)
        several = [replace(request(h / 10), episode=str(h)) for h in range(5)]
        assert heights(policy.plan(several)) == [0.0, 0.1, 0.2, 0.3, 0.4]
        assert server.connections == 2


def test_an_error_of_one_request_is_raised_after_the_others_have_ended() -> None:
    with PolicyServer(broken) as server:
        policy = build(server.port, horizon=HORIZON, connections=2)
        with pytest.raises(ServerError, match="KeyError"):
            policy.plan([replace(request(0.1), episode="a"), replace(request(0.2), episode="b")])
        assert heights(policy.plan([replace(request(0.2), episode="b")])) == [0.2]
