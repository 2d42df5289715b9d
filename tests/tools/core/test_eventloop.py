# SPDX-License-Identifier: GPL-2.0-only
"""The event loop: descriptors, timers, calls from elsewhere."""

import os
import queue
import threading
import time

import pytest

from unikvm.core.eventloop import EventLoop

pytestmark = pytest.mark.unit


@pytest.fixture
def loop():
    loop = EventLoop()
    loop.start()
    yield loop
    loop.stop()


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_ready_descriptor_calls(loop, pipe):
    got = queue.Queue()
    loop.add(pipe[0], lambda events: got.put(os.read(pipe[0], 100)))
    os.write(pipe[1], b"one")
    assert got.get(timeout=5) == b"one"
    os.write(pipe[1], b"two")
    assert got.get(timeout=5) == b"two"
    loop.remove(pipe[0])
    os.write(pipe[1], b"three")
    with pytest.raises(queue.Empty):
        got.get(timeout=0.2)


def test_a_descriptor_can_be_muted(loop, pipe):
    got = queue.Queue()
    loop.add(pipe[0], lambda events: got.put(os.read(pipe[0], 100)), 0)
    os.write(pipe[1], b"x")
    with pytest.raises(queue.Empty):
        got.get(timeout=0.2)
    loop.modify(pipe[0], 1)
    assert got.get(timeout=5) == b"x"


def test_one_descriptor_once(loop, pipe):
    loop.add(pipe[0], lambda events: None)
    with pytest.raises(ValueError):
        loop.add(pipe[0], lambda events: None)


def test_a_regular_file_is_refused(loop, tmp_path):
    with open(tmp_path / "file", "wb") as file, pytest.raises(PermissionError):
        loop.add(file.fileno(), lambda events: None)


def test_call_soon_runs_on_the_loop(loop):
    got = queue.Queue()
    for number in range(3):
        loop.call_soon(lambda n=number: got.put((n, threading.current_thread().name)))
    assert [got.get(timeout=5) for _ in range(3)] == [(n, "events") for n in range(3)]


def test_timers_fire_once_and_can_be_cancelled(loop):
    got = queue.Queue()
    timer = loop.timer(lambda: got.put(time.monotonic()))
    started = time.monotonic()
    timer.arm(0.1)
    assert got.get(timeout=5) - started >= 0.1
    timer.arm(0.05)
    timer.cancel()
    with pytest.raises(queue.Empty):
        got.get(timeout=0.3)
    timer.arm(0)
    got.get(timeout=5)
    timer.close()


def test_callbacks_wait_for_the_machine_lock(loop):
    got = queue.Queue()
    with loop.lock:
        loop.call_soon(lambda: got.put(1))
        with pytest.raises(queue.Empty):
            got.get(timeout=0.2)
    assert got.get(timeout=5) == 1


def test_remove_under_the_lock_means_no_more_calls(loop, pipe):
    calls = []
    loop.add(pipe[0], calls.append)
    with loop.lock:
        os.write(pipe[1], b"x")
        time.sleep(0.1)  # the loop's thread now waits for the lock, event in hand
        loop.remove(pipe[0])
    time.sleep(0.1)
    assert calls == []


def test_an_error_is_kept_and_told(loop):
    told = queue.Queue()
    loop.on_failure = told.put
    loop.call_soon(lambda: 1 / 0)
    assert isinstance(told.get(timeout=5), ZeroDivisionError)
    assert isinstance(loop.failure, ZeroDivisionError)
    later = queue.Queue()
    loop.call_soon(lambda: later.put(1))
    assert later.get(timeout=5) == 1, "the loop lives on"


def test_stop_and_start_again():
    loop = EventLoop()
    for _ in range(3):
        loop.start()
        loop.stop()
    loop.stop()
