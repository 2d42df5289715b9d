# SPDX-License-Identifier: GPL-2.0-only
"""Lines and messages."""

import threading

import pytest

from unikvm.core.irq import IrqLine, Msi, SharedLine

pytestmark = pytest.mark.unit


def test_a_line_remembers():
    line = IrqLine()
    assert not line.level
    line.set(True)
    assert line.level
    line.pulse()
    assert not line.level


def test_a_shared_line_is_up_while_any_source_is():
    line = IrqLine()
    first, second = (source := SharedLine(line).source)(), source()
    first.set(True)
    second.set(True)
    first.set(True)
    first.set(False)
    assert line.level, "the second source still wants it"
    first.set(False)
    second.set(False)
    assert not line.level


def test_a_shared_line_in_many_hands_ends_down():
    line = IrqLine()
    shared = SharedLine(line)
    sources = [shared.source() for _ in range(4)]

    def hammer(source):
        for _ in range(2000):
            source.pulse()

    threads = [threading.Thread(target=hammer, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not line.level


def test_messages_are_recorded():
    msi = Msi()
    assert msi.signal(0xFEE00000, 0x41)
    assert msi.sent == [(0xFEE00000, 0x41)]
