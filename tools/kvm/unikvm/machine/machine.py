# SPDX-License-Identifier: GPL-2.0-only
"""A wired machine: start, wait for the end, take apart."""
from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from typing import Callable, Iterator, Protocol

from ..core.bus import Bus
from ..core.chardev import CharBackend
from ..core.eventloop import EventLoop
from ..core.memory import GuestMemory
from ..core.vcpu import VcpuThread
from ..core.vm import Vm
from .config import MachineConfig
from .result import Result
from .walk import code_at

# How long a vCPU may take to leave KVM_RUN when told to, in seconds.
STOP_PATIENCE = 10.0
# A terminal that hangs up and a polite kill end the guest, not this process.
END_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Stoppable(Protocol):
    """A device with work to finish at the machine's end."""

    def stop(self) -> None: ...


class Machine:
    """Made by machine.builder; run() once.

    Whatever ends the machine calls end(); the first call decides the result.
    """

    def __init__(self, config: MachineConfig, vm: Vm) -> None:
        self.config = config
        self.vm = vm
        self.lock = threading.RLock()
        self.memory = GuestMemory()
        self.pio = Bus("ports", 16, self.lock)
        self.mmio = Bus("memory", 52, self.lock)
        self.loop = EventLoop(self.lock)
        self.loop.on_failure = self._loop_failed
        self.vcpus: list[VcpuThread] = []
        self.devices: list[Stoppable] = []
        self._ended = threading.Event()
        self._end_mutex = threading.Lock()
        self._end: tuple[str, str, VcpuThread | None, BaseException | None] | None = None

    @property
    def backends(self) -> Iterator[CharBackend]:
        """All consoles' backends."""
        yield self.config.serial
        yield from self.config.consoles

    def end(self, reason: str, detail: str = "", vcpu: VcpuThread | None = None,
            error: BaseException | None = None) -> None:
        """Make run() return; from any thread, also from a device handler."""
        with self._end_mutex:
            if self._end is None:
                self._end = reason, detail, vcpu, error
        self._ended.set()

    def ender(self, reason: str) -> Callable[[], None]:
        """end() with a reason, as a callback without arguments."""
        return lambda: self.end(reason)

    def run(self) -> Result:
        """Run until the guest ends, its time is up, or a signal comes."""
        started = time.monotonic()
        handlers = self._take_signals()
        try:
            self.loop.start()
            for vcpu in self.vcpus:
                vcpu.start()
            if not self._ended.wait(self.config.timeout):
                self.end("timeout", f"after {self.config.timeout:g} s")
        finally:
            self.end("stopped")
            self._take_apart()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return self._result(time.monotonic() - started)

    def vcpu_ended(self, vcpu: VcpuThread) -> None:
        """Called on a vCPU's thread when it left its loop."""
        if vcpu.end != "stopped":
            self.end(vcpu.end, vcpu.detail, vcpu, vcpu.error)

    def _loop_failed(self, error: BaseException) -> None:
        self.end("device failed", f"{type(error).__name__}: {error}", error=error)

    def _take_signals(self) -> dict:
        if threading.current_thread() is not threading.main_thread():
            return {}
        def handler(number: int, _frame: object) -> None:
            self.end("stopped", signal.Signals(number).name)
        return {number: signal.signal(number, handler) for number in END_SIGNALS}

    def _take_apart(self) -> None:
        """vCPUs first: devices may then be stopped without a guest at them."""
        self._stop_vcpus()
        self._stop_devices()

    def _stop_vcpus(self) -> list[VcpuThread]:
        """Those that left KVM_RUN."""
        for vcpu in self.vcpus:
            vcpu.stop()
        return [vcpu for vcpu in self.vcpus if vcpu.join(STOP_PATIENCE)]

    def _stop_devices(self) -> None:
        with self.lock:
            for device in self.devices:
                device.stop()
            self.devices.clear()
        self.loop.stop()
        for backend in self.backends:
            backend.close()

    def close(self) -> None:
        """Give all descriptors back; without run() too."""
        self._stop_devices()
        self.loop.close()
        # One that would not leave still uses what closing takes away.
        for thread in self._stop_vcpus():
            thread.vcpu.close()
        self.vm.close()
        self.vm.kvm.close()

    def _result(self, seconds: float) -> Result:
        reason, detail, vcpu, error = self._end
        # Where a guest was that others had to stop is worth a look too.
        if vcpu is None and self.vcpus:
            vcpu = self.vcpus[0]
        exits: Counter[str] = Counter()
        for thread in self.vcpus:
            exits.update(thread.exits)
        regs, sregs = (vcpu.regs, vcpu.sregs) if vcpu else ({}, {})
        return Result(
            reason, detail, vcpu.vcpu.id if vcpu else None, regs, sregs,
            code=code_at(self.memory, sregs, regs["rip"]) if sregs else b"",
            exits=dict(exits), hits={**self.pio.hits(), **self.mmio.hits()},
            python_calls=self.pio.python_calls + self.mmio.python_calls,
            seconds=seconds, error=error)
