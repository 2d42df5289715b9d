# SPDX-License-Identifier: GPL-2.0-only
"""Base class of virtio devices: a declaration plus a few methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Protocol

from ..core.ring import SplitQueue
from .interrupt import VirtioInterrupt

# Reserved feature bits (virtio 1.2 chapter 6)
F_INDIRECT_DESC = 1 << 28
F_EVENT_IDX = 1 << 29
F_VERSION_1 = 1 << 32


class Loop(Protocol):
    """The part of core.eventloop.EventLoop that devices use."""

    def add(self, fd: int, callback: Callable[[int], None]) -> None: ...
    def add_handler(self, handler: Any) -> None: ...


@dataclass(frozen=True)
class Connection:
    """What a transport gives a device: loop, queues and their doorbells, interrupts.

    `fault(text)` tells the transport that the driver broke the rules; from any thread.
    """

    loop: Loop
    queues: tuple[SplitQueue, ...]
    doorbells: tuple[int, ...]  # non-blocking eventfds
    interrupt: VirtioInterrupt
    fault: Callable[[str], None]


class VirtioDevice:
    """Subclasses declare: name, device_id (virtio 1.2 chapter 5), class_code (PCI),
    queue_sizes, features (device bits only)."""

    name = "virtio"
    device_id = 0
    class_code = 0xFF0000
    queue_sizes: tuple[int, ...] = ()
    features = 0
    # Queues whose notifications come to notify() on the vCPU's own thread: for drivers
    # that wait for an answer and would otherwise spin until the loop's thread has run.
    prompt_queues: frozenset[int] = frozenset()

    def config(self) -> bytes:
        """The device configuration space, little endian."""
        return b""

    def connect(self, connection: Connection) -> None:
        """Once, before the guest runs: take queues and register with the loop."""
        raise NotImplementedError

    def start(self, features: int) -> None:
        """The driver is ready (DRIVER_OK); `features` are the negotiated bits."""

    def notify(self, index: int) -> None:
        """The driver rang for a prompt queue; under the machine lock, must not block."""

    def reset(self) -> None:
        """Stop using the queues; none is touched after this returns."""

    def stop(self) -> None:
        """The machine ends: finish what the guest handed over already."""
