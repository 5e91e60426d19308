"""Servers that are late, lost, replaced, or not there at all."""

import contextlib
import socket
import threading
import time
from typing import Any

import msgpack
import pytest

from tasks.errors import PrerequisiteError
from tests.policies.remote.server import HORIZON, PolicyServer, answer, drop, late, later
from tests.policies.remote.test_policy import build, heights, request


def test_a_late_answer_is_not_taken_for_the_next_requests() -> None:
    with PolicyServer(answer, late) as server:
        policy = build(server.port, timeout=1, retries=1)
        assert heights(policy.plan([request(0.1)])) == [0.1]
        server.patience.set()  # the answer to the first sending comes now
        assert heights(policy.plan([request(0.2)])) == [0.2]
        assert server.connections == 2


def test_a_server_that_is_always_slow_is_named_with_what_was_tried() -> None:
    with PolicyServer(usual=late) as server:
        policy = build(server.port, timeout=0.2, retries=2, horizon=HORIZON)
        with pytest.raises(PrerequisiteError) as caught:
            policy.plan([request()])
    text = str(caught.value)
    assert f"ws://127.0.0.1:{server.port} did not answer a request that was sent 3 times" in text
    assert text.count("no answer within 0.2 s") == 3
    assert "/healthz answers 'OK'" in text
    assert "--option.timeout" in text


def test_a_server_that_stops_reading_is_not_waited_for_longer_than_for_an_answer() -> None:
    """It shakes hands, says what it is, and then leaves the request in the way, half read."""
    with PolicyServer() as server, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        port, ends = listener.getsockname()[1], []

        def shake_hands() -> None:
            with contextlib.suppress(OSError):
                while True:
                    here = listener.accept()[0]
                    there = socket.create_connection(("127.0.0.1", server.port))
                    ends.extend((here, there))
                    there.sendall(here.recv(4096))
                    time.sleep(0.1)
                    here.sendall(there.recv(65536))

        threading.Thread(target=shake_hands, daemon=True).start()
        policy = build(port, timeout=0.4, retries=1, horizon=HORIZON, image_size=2048)
        with pytest.raises(PrerequisiteError, match=r"sent 2 times: the server read nothing for 0"):
            policy.plan([request()])
        for end in ends:
            end.close()


def test_how_long_requests_took_includes_waiting_for_a_connection_and_repetitions() -> None:
    def dawdle(server: PolicyServer, socket: Any, asked: dict[str, Any]) -> None:
        time.sleep(0.1)
        answer(server, socket, asked)

    with PolicyServer(dawdle, dawdle, drop, usual=answer) as server:
        policy = build(server.port, horizon=HORIZON)
        policy.plan([request(0.1), request(0.2)])  # the second waits for the first
        latency = policy.latency()
        assert (latency.requests, latency.resent, latency.failed) == (2, 0, 0)
        assert 99 < latency.percentile(50) < 190 < latency.percentile(100)
        policy.plan([request(0.1)])
        again = policy.latency() - latency
        assert (again.requests, again.resent) == (1, 1)
        assert again.percentile(100) > 240  # a lost connection, a pause, a new one


def test_a_lost_connection_is_made_again() -> None:
    with PolicyServer(answer, drop) as server:
        policy = build(server.port)
        assert heights(policy.plan([request(0.1), request(0.2)])) == [0.1, 0.2]
        assert server.connections == 2
    with PolicyServer(answer, usual=drop) as server:
        policy = build(server.port)
        with pytest.raises(PrerequisiteError, match=r"sent 2 times: the connection was lost"):
            policy.plan([request()])


def test_a_server_that_starts_anew_is_waited_for() -> None:
    with PolicyServer() as server:
        policy = build(server.port, wait=20)
        policy.plan([request()])
    again = PolicyServer(port=server.port)
    with later(again, 0.5):
        assert heights(policy.plan([request(0.2)])) == [0.2]
    with pytest.raises(PrerequisiteError, match="There is no policy server at"):
        build(server.port)


def test_another_server_in_the_place_of_a_lost_one_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with PolicyServer(answer, drop) as server:
        build(server.port).plan([request()])
    assert "describes itself" not in caplog.text  # the same one again
    with PolicyServer(answer, drop) as server:
        policy = build(server.port)
        server.metadata = msgpack.packb({"model": "pi05_libero"})
        assert heights(policy.plan([request(0.2)])) == [0.2]
    assert caplog.text.count("describes itself otherwise than before") == 1


def test_a_server_that_starts_late_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    server = PolicyServer(port=free_port())
    with later(server, 0.6):
        assert build(server.port, wait=20).spec.horizon == HORIZON
    assert "waiting up to 20 s" in caplog.text
    assert len(caplog.records) == 1


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def test_a_refused_connection_is_named_with_the_fix() -> None:
    port = free_port()
    with pytest.raises(PrerequisiteError) as caught:
        build(port, wait=1)
    text = str(caught.value)
    assert f"There is no policy server at ws://127.0.0.1:{port}" in text
    assert "times in 1 s, at last: connection refused" in text
    assert "serve_policy.py" in text
    assert "--option.host" in text
    with pytest.raises(PrerequisiteError, match="tried once"):
        build(port, wait=0)
