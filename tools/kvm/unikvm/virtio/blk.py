# SPDX-License-Identifier: GPL-2.0-only
"""Virtio block device (virtio 1.2 5.2): one queue, data path in blkio."""

from __future__ import annotations

import struct

from ..block.raw import SECTOR, Disk
from .blkio import BlkWorker
from .device import Connection, VirtioDevice

F_SEG_MAX = 1 << 2
F_RO = 1 << 5
F_BLK_SIZE = 1 << 6
F_FLUSH = 1 << 9

QUEUE_SIZE = 256
_CONFIG_BYTES = 60


class VirtioBlk(VirtioDevice):
    """`disk` stays open until the machine's owner closes it; `serial`: up to 20 bytes."""

    name = "virtio-blk"
    device_id = 2
    class_code = 0x010000
    queue_sizes = (QUEUE_SIZE,)

    def __init__(self, disk: Disk, serial: str = "") -> None:
        self.disk = disk
        self.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | (F_RO if disk.read_only else 0)
        self._serial = serial.encode("ascii", "replace")[:20]
        self._worker: BlkWorker | None = None

    def config(self) -> bytes:
        """5.2.4: capacity in sectors, size_max, seg_max, geometry, blk_size."""
        # Two descriptors of a chain are header and status.
        fields = struct.pack(
            "<QIIHBBI", self.disk.size // SECTOR, 0, QUEUE_SIZE - 2, 0, 0, 0, SECTOR
        )
        return fields.ljust(_CONFIG_BYTES, b"\0")

    def connect(self, connection: Connection) -> None:
        """Serve the queue on the event loop's thread."""
        self._worker = BlkWorker(
            connection.doorbells[0], connection.queues[0], connection.interrupt, 0,
            connection.fault, self.disk, self._serial,
        )  # fmt: skip
        connection.loop.add_handler(self._worker)

    def start(self, features: int) -> None:
        """Requests are served from now on."""
        if self._worker is not None:
            self._worker.start()

    def reset(self) -> None:
        """Waits for the request in flight."""
        if self._worker is not None:
            self._worker.halt()

    def stop(self) -> None:
        """What is in flight ends; nothing new starts."""
        self.reset()

    @property
    def requests(self) -> int:
        """How many requests were served."""
        return 0 if self._worker is None else self._worker.requests
