# SPDX-License-Identifier: GPL-2.0-only
"""The common configuration structure (virtio 1.2 4.1.4.3) and the status machine (2.1, 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ..core.ring import RingError, SplitQueue
from .device import F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1, VirtioDevice
from .interrupt import NO_VECTOR, VirtioInterrupt

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK = 1, 2, 4, 8
NEEDS_RESET, FAILED = 64, 128
_DRIVER_BITS = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED
_WORD = 0xFFFF_FFFF

# Offsets of the fields
_DEVICE_FEATURE_SELECT, _DEVICE_FEATURE = 0, 4
_DRIVER_FEATURE_SELECT, _DRIVER_FEATURE = 8, 12
_CONFIG_VECTOR, _NUM_QUEUES, _STATUS, _GENERATION = 16, 18, 20, 21
_QUEUE_SELECT, _QUEUE_SIZE, _QUEUE_VECTOR, _QUEUE_ENABLE, _QUEUE_NOTIFY_OFF = 22, 24, 26, 28, 30
_QUEUE_DESC, _QUEUE_DRIVER, _QUEUE_DEVICE = 32, 40, 48


@dataclass
class _QueueState:
    """What the driver has programmed for one queue; addresses are guest-physical."""

    size: int
    areas: list[int]  # descriptors, driver (available) and device (used) area
    enabled: bool = False


class CommonConfig:
    """Bus device of the common structure; accesses are at most 4 bytes wide.

    `report(text)` is called the first time the driver breaks a rule.
    """

    def __init__(
        self,
        device: VirtioDevice,
        queues: tuple[SplitQueue, ...],
        interrupt: VirtioInterrupt,
        report: Callable[[str], None],
    ) -> None:
        self._device, self._queues, self._interrupt = device, queues, interrupt
        self._report = report
        self._reported = False
        self.offered = device.features | F_VERSION_1 | F_INDIRECT_DESC | F_EVENT_IDX
        self._clear()

    def _clear(self) -> None:
        self.status = 0
        self.accepted = 0
        self._device_select = self._driver_select = self._queue_select = 0
        self._states = [_QueueState(queue.max_size, [0, 0, 0]) for queue in self._queues]

    def reset(self) -> None:
        """2.4: as after power-on.  No queue is touched once this returns."""
        self._device.reset()
        for queue in self._queues:
            queue.reset()
        self._interrupt.reset()
        self._clear()

    def needs_reset(self, text: str) -> None:
        """2.1.2: stop serving and tell the driver, if it is there to listen."""
        if self.status & NEEDS_RESET:
            return
        alive = self.status & DRIVER_OK
        self.status |= NEEDS_RESET
        self._device.reset()
        if alive:
            self._interrupt.signal_config()
        # Once in a machine's life: a guest may do this in a loop.
        if not self._reported:
            self._reported = True
            self._report(text)

    # Bus device

    def read(self, offset: int, width: int) -> int:
        """Any part of any field, as an aligned access inside one dword."""
        base = offset & ~3
        return self._read_word(base) >> (8 * (offset - base)) & ((1 << (8 * width)) - 1)

    def _read_word(self, base: int) -> int:
        state = self._state
        if base == _DEVICE_FEATURE:
            return self._feature_word(self.offered, self._device_select)
        if base == _DRIVER_FEATURE:
            return self._feature_word(self.accepted, self._driver_select)
        if base == _CONFIG_VECTOR:
            return self._interrupt.config_vector | len(self._queues) << 16
        if base == _STATUS:
            return self.status | self._queue_select << 16
        if base == _QUEUE_SIZE:
            vector = self._interrupt.queue_vector(self._queue_select) if state else NO_VECTOR
            return (state.size if state else 0) | vector << 16
        if base == _QUEUE_ENABLE:
            # The notify offset is the queue's index.
            return (state.enabled | self._queue_select << 16) if state else 0
        if _QUEUE_DESC <= base < _QUEUE_DEVICE + 8 and state:
            area = state.areas[(base - _QUEUE_DESC) // 8]
            return area >> (32 if base & 4 else 0) & _WORD
        return {
            _DEVICE_FEATURE_SELECT: self._device_select,
            _DRIVER_FEATURE_SELECT: self._driver_select,
        }.get(base, 0)

    @staticmethod
    def _feature_word(features: int, select: int) -> int:
        return features >> (32 * select) & _WORD if select < 2 else 0

    def write(self, offset: int, width: int, value: int) -> None:
        """Only whole fields can be written (4.1.3.1), 64-bit ones in halves."""
        if (offset, width) == (_STATUS, 1):
            self._write_status(value)
        elif (offset, width) == (_DEVICE_FEATURE_SELECT, 4):
            self._device_select = value
        elif (offset, width) == (_DRIVER_FEATURE_SELECT, 4):
            self._driver_select = value
        elif (offset, width) == (_DRIVER_FEATURE, 4):
            self._write_features(value)
        elif (offset, width) == (_CONFIG_VECTOR, 2):
            self._interrupt.config_vector = value
        elif (offset, width) == (_QUEUE_SELECT, 2):
            self._queue_select = value
        elif self._state is not None:
            self._write_queue(self._state, offset, width, value)

    @property
    def _state(self) -> _QueueState | None:
        select = self._queue_select
        return self._states[select] if select < len(self._states) else None

    def _write_features(self, value: int) -> None:
        # 3.1.1: the driver may not change its mind after FEATURES_OK.
        if self._driver_select < 2 and not self.status & FEATURES_OK:
            shift = 32 * self._driver_select
            self.accepted = self.accepted & ~(_WORD << shift) | value << shift

    def _write_queue(self, state: _QueueState, offset: int, width: int, value: int) -> None:
        if (offset, width) == (_QUEUE_VECTOR, 2):
            self._interrupt.set_queue_vector(self._queue_select, value)
        elif state.enabled:
            pass  # 4.1.5.1.3.1: its set-up is fixed until a reset
        elif (offset, width) == (_QUEUE_SIZE, 2):
            state.size = value
        elif (offset, width) == (_QUEUE_ENABLE, 2):
            if value == 1:
                self._enable(state)
        elif _QUEUE_DESC <= offset < _QUEUE_DEVICE + 8 and width == 4 and offset % 4 == 0:
            index, shift = (offset - _QUEUE_DESC) // 8, 32 if offset & 4 else 0
            state.areas[index] = state.areas[index] & ~(_WORD << shift) | value << shift

    def _enable(self, state: _QueueState) -> None:
        # Only between FEATURES_OK and DRIVER_OK is the ring's format known and nobody
        # serving it.
        if not self.status & FEATURES_OK or self.status & (DRIVER_OK | NEEDS_RESET):
            return
        try:
            self._queues[self._queue_select].enable(
                state.size, *state.areas,
                event_index=bool(self.accepted & F_EVENT_IDX),
                indirect=bool(self.accepted & F_INDIRECT_DESC),
            )  # fmt: skip
            state.enabled = True
        except RingError as error:
            self.needs_reset(f"queue {self._queue_select}: {error}")

    def _write_status(self, value: int) -> None:
        if value == 0:
            self.reset()
            return
        new = value & _DRIVER_BITS & ~self.status
        if new & FEATURES_OK and (
            self.accepted & ~self.offered or not self.accepted & F_VERSION_1
        ):
            new &= ~(FEATURES_OK | DRIVER_OK)  # 3.1.1: the driver reads back a refusal
        if not (self.status | new) & FEATURES_OK:
            new &= ~DRIVER_OK
        self.status |= new
        if new & DRIVER_OK and not self.status & (FAILED | NEEDS_RESET):
            self._device.start(self.accepted)
