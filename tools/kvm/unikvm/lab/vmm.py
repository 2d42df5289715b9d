# SPDX-License-Identifier: GPL-2.0-only
"""From a GuestConfig to the VMM's machine, with its consoles wired to a run's needs."""

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unikvm.boot import bzimage, initrd, layout, seabios
from unikvm.core.chardev import CharBackend, FdBackend, LineBackend
from unikvm.lab import firmware, guest
from unikvm.machine import builder, result
from unikvm.machine.config import MIB, DiskConfig, MachineConfig, read_file
from unikvm.machine.terminal import TerminalBackend

Emit = Callable[[dict], None]


class EventConsole(CharBackend):
    """A console whose text goes out as events, a line or a burst at a time."""

    def __init__(self, name: str, emit: Emit) -> None:
        super().__init__()
        self._name, self._emit = name, emit
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._pending = ""

    def write(self, data: bytes) -> None:
        self._pending += self._decode(data)
        # The guest prints a byte at a time; an event for each would cost more than it.
        if "\n" in self._pending or len(self._pending) >= 256:
            self.flush()

    def flush(self) -> None:
        """Send what is there."""
        if self._pending:
            self._emit({self._name: self._pending})
            self._pending = ""

    def close(self) -> None:
        self.flush()


@dataclass(frozen=True)
class Ended:
    """The VMM's result in the words of a run."""

    end: str
    detail: str
    report: str


def machine_config(config: guest.GuestConfig, disks: Sequence[str]) -> MachineConfig:
    """The VMM's configuration, consoles left at nothing. `disks`: paths here."""
    return MachineConfig(
        boot="disk" if config.kernel is None else config.boot,
        kernel=path_or_none(config.kernel), initrd=path_or_none(config.initrd),
        cmdline=config.cmdline, firmware=path_or_none(config.firmware),
        option_rom=firmware.option_rom(),
        disks=tuple(DiskConfig(Path(path), spec.readonly)
                    for path, spec in zip(disks, config.disks, strict=True)),
        memory=config.memory * MIB, cpus=config.cpus)


def check(config: guest.GuestConfig) -> None:
    """What can be seen wrong before any machine is started; UserError."""
    wanted = machine_config(config, [disk.path for disk in config.disks])
    wanted.check()
    if wanted.kernel is not None:
        kernel = bzimage.parse(read_file(wanted.kernel, "kernel"), str(wanted.kernel))
        bzimage.encode_cmdline(kernel, wanted.cmdline, layout.BOOT_CMDLINE_MAX)
    if wanted.initrd is not None:
        initrd.check(read_file(wanted.initrd, "initrd"), str(wanted.initrd))
    if wanted.firmware is not None:
        seabios.firmware_image(read_file(wanted.firmware, "firmware"), str(wanted.firmware))


class GuestMachine:
    """A machine for one run. UserError from the constructor: refused, nothing left open."""

    def __init__(self, config: guest.GuestConfig, disks: Sequence[str], emit: Emit) -> None:
        self.on_control: Callable[[str], None] = lambda line: None
        self._debug = EventConsole("firmware", emit)
        self._serial, consoles = self._consoles(config, emit)
        self._machine = builder.build(replace(
            machine_config(config, disks), serial=self._serial, consoles=consoles,
            debugcon=self._debug.write))
        for backend in consoles:
            # Ctrl-a x on this host's own terminal.
            if isinstance(backend, TerminalBackend):
                backend.on_quit = self.stop

    def _consoles(self, config: guest.GuestConfig, emit: Emit,
                  ) -> tuple[CharBackend, tuple[CharBackend, ...]]:
        """(serial, hvc0..hvc2): see init.sh for what each carries."""
        control = LineBackend(lambda line: self.on_control(line))
        if config.kernel is None:
            # A system of its own: it talks on the serial line.
            return TerminalBackend(), (FdBackend(None, 1), FdBackend(None, 2), control)
        serial = EventConsole("console", emit)
        first = TerminalBackend() if config.interactive else FdBackend(None, 1)
        if config.default_init or not config.interactive:
            return serial, (first, FdBackend(None, 2), control)
        # A foreign initramfs: the console is the serial line, hvc0 is spare.
        return first, (FdBackend(None, 1), FdBackend(None, 2), control)

    def run(self) -> Ended:
        """Until the guest ends or stop()."""
        try:
            ended = self._machine.run()
        finally:
            self._machine.close()
            self._debug.flush()
        text = result.report(ended) if ended.died or ended.reason == "stopped" else ""
        return Ended(ended.reason, ended.detail, text if ended.regs else "")

    def stop(self) -> None:
        """End the guest; from any thread."""
        self._machine.end("stopped")


def path_or_none(name: str | None) -> Path | None:
    """A Path where there is a name."""
    return Path(name) if name else None
