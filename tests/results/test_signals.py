import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from results.signals import Interruption
from tests.harness.conftest import ROOT

pytestmark = pytest.mark.usefixtures("signals_arrive")


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_ctrl_c_waits_until_it_is_allowed() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        send(signal.SIGINT)
        done.append("a record written")
        with interruption.allowed():
            done.append("never")
    assert done == ["a record written"]


def test_it_ends_what_may_be_ended() -> None:
    reached = False
    with (
        pytest.raises(KeyboardInterrupt),
        Interruption() as interruption,
        interruption.allowed(),
    ):
        send(signal.SIGINT)
        reached = True
    assert not reached


def test_it_is_raised_once_so_that_tidying_up_is_not_disturbed() -> None:
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        try:
            with interruption.allowed():
                send(signal.SIGINT)
        finally:
            with interruption.allowed():
                pass


def test_one_that_came_too_late_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt), Interruption():
        send(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_polite_kills_exit_with_the_shells_code(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)  # nohup has SIGHUP ignored
    with pytest.raises(SystemExit) as caught, Interruption() as interruption:
        send(number)
        send(number)  # schedulers repeat themselves
        with interruption.allowed():
            pass
    assert caught.value.code == 128 + number


def test_what_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with Interruption() as interruption, interruption.allowed():
            send(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_put_back() -> None:
    with Interruption():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_beside_the_main_thread_it_does_nothing() -> None:
    done = []

    def work() -> None:
        with Interruption() as interruption, interruption.allowed():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]


TWICE = """
import signal, sys, time
from results.signals import Interruption
signal.signal(signal.SIGINT, signal.default_int_handler)
with Interruption() as interruption:
    try:
        with interruption.allowed():
            print("ready", flush=True)
            time.sleep(60)
    finally:
        print("tidying up", flush=True)
        time.sleep(60)
"""


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TWICE], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        for words in ("ready\n", "tidying up\n"):
            assert said.readline() == words
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
