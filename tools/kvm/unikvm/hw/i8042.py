# SPDX-License-Identifier: GPL-2.0-only
"""The PC keyboard controller, with a keyboard on it that nobody types on.

Guests reset the machine through it, and both SeaBIOS and Linux wait long for a
controller that does not answer.  There is no auxiliary (mouse) port, and the
answers say so.
"""
from __future__ import annotations

from collections import deque
from typing import Callable

from ..core.irq import IrqLine

STATUS_OUTPUT, STATUS_SYSTEM, STATUS_COMMAND, STATUS_UNLOCKED = 0x01, 0x04, 0x08, 0x10
CONTROL_IRQ, CONTROL_SYSTEM, CONTROL_TRANSLATE = 0x01, 0x04, 0x40
OUTPUT_PORT = 0x03  # reset line inactive, A20 open
ACK, BAT_PASSED, RESEND = 0xFA, 0xAA, 0xFE
# More than any sequence of commands leaves unread; the rest is dropped.
QUEUE_LIMIT = 16


class Keyboard:
    """The far end of the wire: commands in, bytes out."""

    # Commands followed by one parameter byte.
    WITH_PARAMETER = (0xED, 0xF0, 0xF3)

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send
        self._command: int | None = None
        self._set = 2

    def receive(self, value: int) -> None:
        """One byte from the controller."""
        command, self._command = self._command, None
        if command is not None:
            self._parameter(command, value)
        elif value in self.WITH_PARAMETER:
            self._command = value
            self._send(ACK)
        elif value == 0xEE:  # echo
            self._send(0xEE)
        elif value == 0xF2:  # identify: MF2 keyboard
            self._answer(ACK, 0xAB, 0x83)
        elif value == 0xFF:  # reset
            self._set = 2
            self._answer(ACK, BAT_PASSED)
        elif value in (0xF4, 0xF5, 0xF6):  # enable, disable, defaults
            self._send(ACK)
        else:
            self._send(RESEND)

    def _parameter(self, command: int, value: int) -> None:
        self._send(ACK)
        if command == 0xF0 and value == 0:
            self._send(self._set)
        elif command == 0xF0:
            self._set = value & 3

    def _answer(self, *values: int) -> None:
        for value in values:
            self._send(value)


class I8042:
    """Two ports apart: register .data at 0x60 and .command at 0x64.

    reset(): called when the guest pulses the reset line.
    """

    def __init__(self, line: IrqLine, reset: Callable[[], None]) -> None:
        self._line = line
        self._reset = reset
        self._control = CONTROL_SYSTEM
        self._output_port = OUTPUT_PORT
        self._pending: int | None = None
        self._last_was_command = False
        self._queue: deque[int] = deque()
        self._keyboard = Keyboard(self._put)
        self.data = _Port(self._read_data, self._write_data)
        self.command = _Port(self._status, self._write_command)

    def _put(self, value: int) -> None:
        if len(self._queue) < QUEUE_LIMIT:
            self._queue.append(value)
        self._update()

    def _update(self) -> None:
        self._line.set(bool(self._queue and self._control & CONTROL_IRQ))

    def _status(self) -> int:
        return (STATUS_UNLOCKED | (self._control & CONTROL_SYSTEM)
                | (STATUS_OUTPUT if self._queue else 0)
                | (STATUS_COMMAND if self._last_was_command else 0))

    def _read_data(self) -> int:
        value = self._queue.popleft() if self._queue else 0
        # The chip lowers its interrupt with each byte taken; the next byte
        # must be a new edge.
        self._line.set(False)
        self._update()
        return value

    def _write_data(self, value: int) -> None:
        command, self._pending = self._pending, None
        self._last_was_command = False
        if command is None:
            self._keyboard.receive(value)
        elif command == 0x60:
            self._control = value
            self._update()
        elif command == 0xD1:
            self._output_port = value | OUTPUT_PORT & ~1
            if not value & 1:
                self._reset()
        elif command in (0xD2, 0xD3):
            # 0xd3 should come back marked as the mouse's; unmarked it tells
            # Linux that there is no mouse port.
            self._put(value)

    def _write_command(self, value: int) -> None:
        self._last_was_command = True
        self._pending = None
        if value == 0x20:
            self._put(self._control)
        elif value in (0x60, 0xD1, 0xD2, 0xD3, 0xD4):
            self._pending = value
        elif value == 0xA9:  # auxiliary port test: clock stuck low
            self._put(0x01)
        elif value == 0xAA:  # self test
            self._control |= CONTROL_SYSTEM
            self._put(0x55)
        elif value == 0xAB:  # keyboard port test: no fault
            self._put(0x00)
        elif value == 0xD0:
            self._put(self._output_port)
        elif value >= 0xF0 and not value & 1:
            # Pulse output lines low; line 0 is the processor's reset.
            self._reset()


class _Port:
    """One byte-wide port made of two functions."""

    SIZE = 1

    def __init__(self, read: Callable[[], int], write: Callable[[int], None]) -> None:
        self._read, self._write = read, write

    def read(self, _offset: int, _width: int) -> int:
        return self._read()

    def write(self, _offset: int, _width: int, value: int) -> None:
        self._write(value)
