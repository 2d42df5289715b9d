# SPDX-License-Identifier: GPL-2.0-only
"""One guest run from the user's side: phases, streams, messages, summary, exit status."""

import argparse
import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import unikvm
from unikvm.cli import EXIT_FAILURE, EXIT_GUEST_DIED, complain, labargs
from unikvm.cli.progress import Phases
from unikvm.lab import firmware, guest, modules, places, terminal
from unikvm.lab.machine import L1, Disk, Job
from unikvm.lab.watch import Tail

# The states a guest goes through, and what each is called while it lasts.
STATES = {"start": "starting the VMM", "vmm": "booting the guest", "ready": "command",
          "exit": "shutting down"}
_QUIT_PATIENCE = 15.0  # seconds for a VMM to end its guest after Ctrl-a x


class Session:
    """A run. Events arrive from the VMM's process, in L1 or on this host."""

    def __init__(self, config: guest.GuestConfig, phases: Phases, guest_kernel: str,
                 verbose: bool = False) -> None:
        self.config, self.phases = config, phases
        self._guest_kernel, self._verbose = guest_kernel, verbose
        self._log = open(places.log_path("run"), "w", encoding="utf-8", errors="replace")
        self._tail, self._firmware_tail = Tail(), Tail()
        self._outcome: guest.Outcome | None = None
        self._lock = threading.Lock()
        self._state, self._since = "", 0.0
        self._quitting = False

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    # -- where it runs ------------------------------------------------------

    def in_lab(self, args: argparse.Namespace) -> int:
        """The VMM in an L1 made for this run."""
        kernel, tree = labargs.l1_parts(args, self.phases)
        disks = [Disk(Path(disk.path), f"unikvm{index}", disk.readonly)
                 for index, disk in enumerate(self.config.disks)]
        share = [Path(name).parent for name in
                 (self.config.kernel, self.config.initrd, self.config.firmware) if name]
        l1_memory = max(2048, self.config.memory + 1024)
        config = labargs.l1_config(args, kernel, memory=l1_memory, disks=disks, share=share)
        machine, half = labargs.boot_l1(args, config, tree, self.phases)
        with machine:
            status = self._run_in(machine, half)
        self._summary(half.describe(), f"lab, L1 kernel {machine.kernel}")
        return status

    def _run_in(self, machine: L1, half: modules.LoadedHalf) -> int:
        """Start the VMM in L1 and see it to its end."""
        disks = tuple(replace(disk, path=f"{guest.DISK_BY_SERIAL}unikvm{index}")
                      for index, disk in enumerate(self.config.disks))
        config = replace(self.config, disks=disks)
        # L1 has no udev that would load the driver of its disks.
        if disks and machine.run(["modprobe", "virtio_blk"]).status:
            raise modules.LabError(f"L1's kernel {machine.kernel} has no virtio_blk: --disk "
                                   "needs another --lab-kernel")
        site = Path(unikvm.__file__).resolve().parents[1]
        self._enter("start")
        job = machine.start(
            [sys.executable, "-m", "unikvm.lab.onhost", config.to_json()],
            env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
            on_out=lambda data: terminal.write_all(1, data), on_err=self._stderr,
            on_event=self.event)
        with self._keyboard(job.feed, lambda: self._quit(job)):
            result = job.wait()
        self._leave()
        if self._outcome is None:
            return 0 if self._quitting else self._vmm_failed(result.status)
        return self._verdict(self._outcome)

    def _quit(self, job: Job) -> None:
        """Ctrl-a x: the VMM ends its guest, and is ended itself when that takes long."""
        self._quitting = True
        job.kill(signal.SIGTERM)
        timer = threading.Timer(_QUIT_PATIENCE, kill_if_there, (job,))
        timer.daemon = True
        timer.start()

    def on_host(self, args: argparse.Namespace) -> int:
        """The VMM in this process's own KVM."""
        from unikvm.lab import onhost
        half = host_half(args.half)
        self._enter("start")
        if self.config.interactive:
            self.phases.note(f"terminal connected to the guest; {terminal.HELP}")
            self.phases.hold()
        try:
            outcome = onhost.run_guest(self.config, self.event)
        finally:
            self.phases.release()
        self._leave()
        self._summary(half, f"this host, kernel {os.uname().release}")
        return self._verdict(outcome)

    @contextlib.contextmanager
    def _keyboard(self, deliver, end) -> Iterator[None]:
        """Pass what is typed, where the run is interactive."""
        if not self.config.interactive:
            yield
            return
        self.phases.note(f"terminal connected to the guest; {terminal.HELP}")
        self.phases.hold()
        try:
            with terminal.Keyboard(deliver, end).active():
                yield
        finally:
            self.phases.release()

    # -- what arrives -------------------------------------------------------

    def _stderr(self, data: bytes) -> None:
        terminal.write_all(2, data)

    def event(self, event: dict) -> None:
        """Something from the VMM; called from one thread at a time."""
        if "console" in event:
            self._console(event["console"], self._tail)
        if "firmware" in event:
            self._console(event["firmware"], self._firmware_tail)
        if "state" in event:
            self._enter(event["state"])
        if "error" in event:
            self._outcome = guest.Outcome(end="refused",
                                          detail=f"{event['error']}; log: {self._log.name}")
        if "outcome" in event:
            self._outcome = guest.Outcome.from_event(event)

    def _console(self, text: str, tail: Tail) -> None:
        tail.feed(text)
        self._log.write(text.replace("\r", ""))
        self._log.flush()
        if self._verbose:
            sys.stderr.write(text)
            sys.stderr.flush()

    # -- phases -------------------------------------------------------------

    def _enter(self, state: str) -> None:
        with self._lock:
            self._end_phase()
            self._state, self._since = state, time.monotonic()
            self.phases.begin(STATES.get(state, state))
            # Once the command runs, the screen belongs to it.
            if state == "ready":
                self.phases.hide()

    def _leave(self) -> None:
        with self._lock:
            self._end_phase()
            self._state = ""

    def _end_phase(self) -> None:
        if self._state:
            self.phases.record(STATES.get(self._state, self._state),
                               time.monotonic() - self._since)

    # -- the end ------------------------------------------------------------

    def _vmm_failed(self, status: int) -> int:
        complain(f"the VMM ended with status {status} before its guest did; log: {self._log.name}")
        return EXIT_FAILURE

    def _verdict(self, outcome: guest.Outcome) -> int:
        """The exit status, with a line to say why when it is not the command's."""
        if outcome.end == "refused":
            complain(outcome.detail)
            return EXIT_FAILURE
        if outcome.status is not None:
            return outcome.status
        if outcome.end == "time limit":
            complain(f"the guest was stopped after {self.config.limit:g} s (--timeout)")
            if not outcome.ready:
                self._last_words()
            return EXIT_FAILURE
        if outcome.end == "stopped" and self.config.interactive:
            return 0
        # Somebody in a shell, or a system of its own, may power off as it likes.
        free = self.config.interactive and (outcome.ready or not self.config.default_init)
        if outcome.end in ("shutdown", "reset") and free:
            return 0
        self._obituary(outcome)
        return EXIT_GUEST_DIED

    def _obituary(self, outcome: guest.Outcome) -> None:
        """Where a guest stopped that did not end well."""
        what = f"{outcome.end}{': ' if outcome.detail else ''}{outcome.detail}"
        if outcome.ready or not self.config.default_init:
            complain(f"the guest died ({what}); its console: {self._log.name}")
        elif outcome.end == "boot limit":
            complain(f"the guest did not reach init in {self.config.boot_limit:g} s; "
                     f"its console: {self._log.name}")
        else:
            complain(f"the guest never reached init ({what}); its console: {self._log.name}")
        self._last_words()
        if outcome.report:
            print(f"-- the CPU:\n{outcome.report}", file=sys.stderr)
        sys.stderr.flush()

    def _last_words(self) -> None:
        """The console's end; the firmware's while the guest's own has nothing."""
        for title, tail in (("firmware", self._firmware_tail), ("console", self._tail)):
            if tail.text() and not (title == "firmware" and self._tail.text()):
                print(f"-- last on the {title}:\n{tail.text()}", file=sys.stderr)

    def _summary(self, half: str, where: str) -> None:
        """The closing lines."""
        used = self.config.boot == "firmware"
        image = Path(self.config.firmware) if used and self.config.firmware else None
        text = "not used"
        if image is not None:
            digest = hashlib.sha256(image.read_bytes()).hexdigest()
            text = f"{firmware.describe(image)}, sha256 {digest}"
        for line in (f"where: {where}", f"half: {half}", f"firmware: {text}",
                     f"guest kernel: {self._guest_kernel}", f"console log: {self._log.name}",
                     f"time: {self.phases.summary()}"):
            complain(line)


def kill_if_there(job: Job) -> None:
    """Kill a job; one whose machine is gone needs no killing."""
    with contextlib.suppress(modules.LabError):
        job.kill()


def host_half(wanted: str | None) -> str:
    """Whose module this host has loaded; LabError when it is not the wanted half."""
    base = Path("/sys/module/kvm")
    read = {name: (base / name).read_text().strip() if (base / name).is_file() else ""
            for name in ("version", "srcversion")}
    try:
        built = modules.tree_modules(places.build_dir()).srcversion
    except modules.LabError:
        built = ""
    ours = bool(built) and read["srcversion"] == built
    if wanted == "tree" and not ours:
        raise modules.LabError("this host has not loaded the tree's modules: as root, rmmod "
                               "kvm_amd kvm and insmod the build's, or use --on lab")
    if wanted == "stock" and ours:
        raise modules.LabError("this host has loaded the tree's modules: rmmod kvm_amd kvm and "
                               "modprobe kvm_amd, or use --on lab")
    half = "tree" if ours else "stock"
    return modules.LoadedHalf(half, os.uname().release, {"kvm": read}).describe()
