# SPDX-License-Identifier: GPL-2.0-only
"""Virtio console (virtio 1.2 5.3): one port, no multiport.

Flow control both ways: input the guest has no buffers for stays with the backend, and
a full backend leaves the guest's output in the queue.
"""

from __future__ import annotations

import os
import struct

from ..core.chardev import CharBackend
from ..core.ring import Chain, RingError, SplitQueue
from .device import Connection, VirtioDevice

RECEIVE, TRANSMIT = 0, 1
QUEUE_SIZE = 64
# A chain may name gigabytes; they go to the backend in pieces of this size ...
_PIECE = 64 << 10
# ... this much a turn, empty chains not being free, so that other devices have theirs.
_TURN = 1 << 20
_CHAIN_COST = 256
# Output still queued when the machine stops: a backend has to hold all of it.
_LAST_OUTPUT = 16 << 20


class VirtioConsole(VirtioDevice):
    """Bytes between the guest's hvc and `backend`, which is closed by its owner."""

    name = "virtio-console"
    device_id = 3
    class_code = 0x078000
    queue_sizes = (QUEUE_SIZE, QUEUE_SIZE)
    # Linux hands over 16 bytes at a time and spins until they are taken.
    prompt_queues = frozenset((TRANSMIT,))

    def __init__(self, backend: CharBackend) -> None:
        self.backend = backend
        self._link: Connection | None = None
        self._running = False
        # Output taken from the queue but not yet all in the backend.
        self._chain: Chain | None = None
        self._sent = 0

    def config(self) -> bytes:
        """5.3.4: columns, rows, ports, emergency write; none of them negotiated."""
        return struct.pack("<HHII", 0, 0, 1, 0)

    def connect(self, connection: Connection) -> None:
        """Both doorbells call us under the machine lock, as the backend does."""
        self._link = connection
        connection.loop.add(connection.doorbells[RECEIVE], self._receive_kick)
        connection.loop.add(connection.doorbells[TRANSMIT], self._transmit_kick)
        self.backend.attach(connection.loop, self._take_input, self._pump)

    def start(self, features: int) -> None:
        """Look at both queues once: buffers may have been there before the first kick."""
        self._running = True
        self._ring(RECEIVE)
        self._ring(TRANSMIT)

    def notify(self, index: int) -> None:
        """Take output at once."""
        self._pump()

    def reset(self) -> None:
        """Forget the queues; input stays with the backend."""
        self._running = False
        self._chain = None

    def stop(self) -> None:
        """What the guest has handed over goes to the backend, full or not."""
        if self._running:
            self._pump(_LAST_OUTPUT, force=True)
        self._running = False

    # Guest to backend

    def _transmit_kick(self, _events: int) -> None:
        self._answer(TRANSMIT)
        self._pump()

    def _pump(self, budget: int = _TURN, force: bool = False) -> None:
        """Move output until the queue is empty, the backend full, or the budget used up."""
        if not self._running or self._link is None:
            return
        queue = self._link.queues[TRANSMIT]
        queue.pause_kicks()
        try:
            while budget > 0 and self._next(queue):
                if self.backend.full and not force:
                    break  # the backend calls again when it has room
                budget -= self._send(queue)
            if budget <= 0 and not force:
                self._ring(TRANSMIT)
        except RingError as error:
            self._fault(error)
        self._interrupt(TRANSMIT)

    def _next(self, queue: SplitQueue) -> bool:
        """Make a chain the current one; False, and kicks wanted, when there is none."""
        while self._chain is None:
            self._chain, self._sent = queue.pop(), 0
            if self._chain is None and not queue.resume_kicks():
                return False
        return True

    def _send(self, queue: SplitQueue) -> int:
        """One piece of the current chain; returns what it cost."""
        chain = self._chain
        piece = chain.read(_PIECE, self._sent)
        self._sent += len(piece)
        if piece:
            self.backend.write(piece)
        if self._sent >= chain.readable_bytes:
            queue.push(chain)
            self._chain = None
        return len(piece) + _CHAIN_COST

    # Backend to guest

    def _receive_kick(self, _events: int) -> None:
        self._answer(RECEIVE)
        if self._running:
            self.backend.resume()

    def _take_input(self, data: bytes) -> int:
        """The backend offers input; returns how much the guest had buffers for."""
        if not self._running or self._link is None:
            return 0
        queue, taken = self._link.queues[RECEIVE], 0
        try:
            taken = self._fill(queue, memoryview(data))
        except RingError as error:
            self._fault(error)
        self._interrupt(RECEIVE)
        return taken

    def _fill(self, queue: SplitQueue, data: memoryview) -> int:
        queue.pause_kicks()
        taken = 0
        for _ in range(queue.size):
            chain = queue.pop()
            if chain is None and not queue.resume_kicks():
                return taken
            if chain is not None:
                written = chain.write(data[taken:])
                queue.push(chain, written)
                taken += written
            if taken == len(data):
                return taken
        # Buffers without room, or input that never ends: somebody else's turn.
        self._ring(RECEIVE)
        return taken

    def _fault(self, error: RingError) -> None:
        self._running = False
        self._link.fault(str(error))

    def _interrupt(self, index: int) -> None:
        if self._running and self._link.queues[index].interrupt_wanted():
            self._link.interrupt.signal_queue(index)

    def _ring(self, index: int) -> None:
        os.eventfd_write(self._link.doorbells[index], 1)

    def _answer(self, index: int) -> None:
        try:
            os.eventfd_read(self._link.doorbells[index])
        except BlockingIOError:
            pass  # somebody was faster
