# SPDX-License-Identifier: GPL-2.0-only
"""Our VMM in a shared lab machine: what `unikvm run` does there, without the boot of L1."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import unikvm
from unikvm.lab import firmware, guest, initramfs, kernels
from unikvm.lab.cpio import CpioArchive


@dataclass(frozen=True)
class Ended:
    """A guest that ran: its outcome, and all that was said."""

    outcome: guest.Outcome
    stdout: str
    stderr: str
    console: str


class Guest:
    """A guest of our VMM, running in L1 from the constructor on."""

    def __init__(self, l1, scratch: Path, command: str, *, cpus: int = 1, boot: str = "firmware",
                 memory: int = 512, programs: tuple[Path, ...] = (), limit: float = 200,
                 append: str = "", through: str = "",
                 files: Mapping[str, Path] = MappingProxyType({})) -> None:
        """through: what its standard output goes through in L1. files: more, by path there."""
        kernel = kernels.resolve(None, kernels.DEFAULT_L2)
        archive = CpioArchive()
        for program in programs:
            archive.file(f"bin/{program.name}", program.read_bytes(), 0o755)
        for path, source in files.items():
            archive.file(path.lstrip("/"), source.read_bytes(), 0o755)
        folder = scratch / "guests"
        folder.mkdir(exist_ok=True)
        self._initrd = folder / f"{len(list(folder.iterdir()))}.initrd"
        self._initrd.write_bytes(initramfs.initramfs(kernel).read_bytes()
                                 + initramfs.command_archive(command) + bytes(archive))
        config = guest.GuestConfig(
            kernel=str(kernel.vmlinuz), initrd=str(self._initrd), boot=boot,
            cmdline=f"{guest.CMDLINE} {append}".strip(), memory=memory, cpus=cpus,
            firmware=str(firmware.image()) if boot == "firmware" else None,
            boot_limit=limit, limit=limit)
        site = Path(unikvm.__file__).resolve().parents[1]
        self._limit = limit
        command = [sys.executable, "-m", "unikvm.lab.onhost", config.to_json()]
        self.job = l1.machine.start(
            ["bash", "-c", f"{shlex.join(command)} | {through}"] if through else command,
            env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"})
        self.job.feed(b"")

    def state(self) -> str:
        """The last state it reported: vmm, ready, exit."""
        states = [event["state"] for event in self.job.result.events if "state" in event]
        return states[-1] if states else "start"

    def has_ended(self) -> bool:
        """Whether wait() returns at once."""
        try:
            self.job.wait(0.01)
        except TimeoutError:
            return False
        return True

    def wait(self) -> Ended:
        """To its end, whatever that is."""
        result = self.job.wait(2 * self._limit + 60)
        stdout, stderr = result.stdout.decode(), result.stderr.decode()
        console = "".join(event.get("console", "") for event in result.events)
        outcomes = [event for event in result.events if "outcome" in event]
        errors = [event["error"] for event in result.events if "error" in event]
        assert outcomes, f"the VMM refused or failed: {errors}\n{stderr}\n{console[-2000:]}"
        return Ended(guest.Outcome.from_event(outcomes[-1]), stdout, stderr, console)

    def check(self) -> Ended:
        """To a good end: the command succeeded, and the guest's kernel had nothing to say."""
        ended = self.wait()
        said = f"{ended.outcome}\n{ended.stdout}\n{ended.stderr}\n{ended.console[-3000:]}"
        assert ended.outcome.end == "shutdown" and ended.outcome.status == 0, said
        for trouble in ("BUG:", "WARNING:", "stall", "Clocksource", "Call Trace"):
            found = [line for line in ended.console.splitlines() if trouble in line]
            assert not found, f"{found[0]}\n{said}"
        return ended
