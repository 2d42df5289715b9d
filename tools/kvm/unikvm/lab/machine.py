# SPDX-License-Identifier: GPL-2.0-only
"""L1: a throwaway machine over the host's own file system, with an agent in it.

virtme-ng starts a Debian kernel in QEMU's emulation (AMD SVM included) over a
read-only view of this host; commands go to it through `unikvm.lab.agent`.
"""

import json
import os
import queue
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unikvm.lab import LabError, agent, guard, places

BOOT_LIMIT = 180.0   # seconds until the agent's hello; an idle host needs 10
SILENCE_LIMIT = 90.0  # seconds without an answer to a ping before L1 counts as wedged
PING_EVERY = 5.0

# Directories over which virtme-ng's init mounts an empty tmpfs.
HIDDEN = ("/run", "/var/tmp", "/var/cache", "/var/log", "/dev/shm")
# Read-only parts of the host that L1 sees through a writable overlay.
OVERLAYS = ("/etc", "/lib", "/home", "/opt", "/srv", "/usr", "/var", "/tmp")


class L1Died(LabError):
    """L1's kernel or emulator ended while it was in use."""


class L1Wedged(LabError):
    """L1 stopped answering."""


@dataclass(frozen=True)
class Disk:
    """A raw image given to L1 as a virtio disk; found there by `serial`."""

    path: Path
    serial: str
    readonly: bool = False


@dataclass(frozen=True)
class L1Config:
    """What an L1 is made of. memory in MiB, limit in seconds of wall time (0: none).

    `icount`: the TSC counts the instructions executed instead of time.
    """

    vmlinuz: Path
    memory: int = 2048
    cpus: int = 2
    qemu: Path | None = None
    threads: str = "multi"
    icount: bool = False
    share: tuple[Path, ...] = ()
    share_rw: tuple[Path, ...] = ()
    disks: tuple[Disk, ...] = ()
    limit: float = 0.0
    kernel_args: tuple[str, ...] = ()


@dataclass
class Result:
    """How a command in L1 ended; the streams as collected."""

    status: int
    stdout: bytes = b""
    stderr: bytes = b""
    events: list[dict] = field(default_factory=list)


Sink = Callable[[bytes], None]


class Job:
    """A command running in L1. Callbacks come from the L1's reader thread."""

    def __init__(self, machine: "L1", number: int, on_out: Sink | None,
                 on_err: Sink | None, on_event: Callable[[dict], None] | None) -> None:
        self._machine = machine
        self.number = number
        self._on_out, self._on_err, self._on_event = on_out, on_err, on_event
        self._lines = bytearray()
        self._done: queue.SimpleQueue[int | LabError] = queue.SimpleQueue()
        self.result = Result(status=-1)

    def deliver(self, kind: int, payload: bytes) -> None:
        """One frame from the agent."""
        if kind == agent.OUT:
            self._on_out(payload) if self._on_out else self._collect("stdout", payload)
        elif kind == agent.ERR:
            self._on_err(payload) if self._on_err else self._collect("stderr", payload)
        elif kind == agent.EVENT:
            self._events(payload)
        elif kind == agent.EXIT:
            self._done.put(struct.unpack("<i", payload)[0])

    def _collect(self, stream: str, payload: bytes) -> None:
        setattr(self.result, stream, getattr(self.result, stream) + payload)

    def _events(self, payload: bytes) -> None:
        """Split into lines of JSON."""
        self._lines += payload
        *whole, rest = bytes(self._lines).split(b"\n")
        self._lines = bytearray(rest)
        for line in whole:
            event = json.loads(line)
            self._on_event(event) if self._on_event else self.result.events.append(event)

    def fail(self, error: LabError) -> None:
        """The machine is gone."""
        self._done.put(error)

    def feed(self, data: bytes) -> None:
        """Bytes for its standard input; empty means end of file."""
        for start in range(0, max(1, len(data)), agent.CHUNK):
            self._machine.send(agent.STDIN, self.number, data[start:start + agent.CHUNK])

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to its process group."""
        self._machine.send(agent.SIGNAL, self.number, bytes([number]))

    def resize(self, rows: int, columns: int) -> None:
        """The terminal it runs on has another size."""
        self._machine.send(agent.WINSIZE, self.number, struct.pack("<HH", rows, columns))

    def wait(self, timeout: float | None = None) -> Result:
        """Until it ends. TimeoutError after `timeout` seconds; L1Died, L1Wedged."""
        try:
            outcome = self._done.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"command in L1 still running after {timeout:g} s") from None
        if isinstance(outcome, LabError):
            self._done.put(outcome)
            raise outcome
        self.result.status = outcome
        self._done.put(outcome)
        return self.result


class L1:
    """A running L1. Use as a context manager; leaving it ends every process."""

    def __init__(self, config: L1Config) -> None:
        self.config = config
        self.log = places.log_path("l1")
        self.kernel = ""
        self._jobs: dict[int, Job] = {}
        self._lock = threading.Lock()
        self._error: LabError | None = None
        self._heard = time.monotonic()
        self._stop = threading.Event()
        self._said_bye = threading.Event()
        self._numbers = iter(range(1, 65536))
        self._folder = Path(tempfile.mkdtemp(prefix="unikvm-l1-"))
        self._control = -1
        self._guard: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        try:
            self._start()
        except BaseException:
            self.close(clean=False)
            raise

    def __enter__(self) -> "L1":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- life ---------------------------------------------------------------

    def _start(self) -> None:
        address = self._folder / "agent"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
            listener.listen(1)
            reader, self._control = os.pipe()
            try:
                self._guard = subprocess.Popen(
                    [sys.executable, "-I", "-S", guard.__file__, str(reader),
                     str(self.config.limit), str(self.log),
                     *virtme_command(self.config, address)],
                    pass_fds=(reader,), stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            finally:
                os.close(reader)
            self._socket = self._accept(listener)
        self._hello()
        for name, target in (("l1-reader", self._read), ("l1-ping", self._ping)):
            threading.Thread(target=target, name=name, daemon=True).start()

    def _accept(self, listener: socket.socket) -> socket.socket:
        """QEMU connects as soon as it starts."""
        listener.settimeout(1.0)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                return listener.accept()[0]
            except TimeoutError:
                if self._guard is not None and self._guard.poll() is not None:
                    break
        raise L1Died(f"the lab machine did not start: {self.last_line()}; log: {self.log}")

    def _hello(self) -> None:
        """Wait for the agent."""
        assert self._socket is not None
        self._unpacker = agent.Unpacker()
        deadline = time.monotonic() + BOOT_LIMIT
        while not self.kernel:
            self._socket.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise L1Wedged(f"the lab machine did not boot in {BOOT_LIMIT:g} s, "
                               f"last said: {self.last_line()}; log: {self.log}") from None
            if not data:
                raise L1Died("the lab machine ended while booting, "
                             f"last said: {self.last_line()}; log: {self.log}")
            for kind, _, payload in self._unpacker.feed(data):
                if kind == agent.HELLO:
                    self.kernel = json.loads(payload)["kernel"]
        self._socket.settimeout(None)
        self._heard = time.monotonic()

    def close(self, clean: bool = True) -> None:
        """End the machine and remove what it left. Never raises for a dead one."""
        if clean and self._error is None and self._socket is not None:
            try:
                self.send(agent.QUIT, 0)
                self._said_bye.wait(10)
            except LabError:
                pass
        self._stop.set()
        if self._control >= 0:
            os.close(self._control)
            self._control = -1
        if self._guard is not None:
            self._guard.wait()
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._socket.close()
            self._socket = None
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- use ----------------------------------------------------------------

    def start(self, argv: Sequence[str], *, env: dict[str, str] | None = None,
              cwd: str | None = None, tty: tuple[int, int] | None = None,
              on_out: Sink | None = None, on_err: Sink | None = None,
              on_event: Callable[[dict], None] | None = None) -> Job:
        """Start a command; `tty` = (rows, columns) gives it a terminal."""
        job = Job(self, next(self._numbers), on_out, on_err, on_event)
        request: dict = {"argv": list(argv), "env": env or {}, "cwd": cwd}
        if tty is not None:
            request |= {"tty": True, "rows": tty[0], "columns": tty[1]}
        with self._lock:
            if self._error is not None:
                raise self._error
            self._jobs[job.number] = job
        self.send(agent.RUN, job.number, json.dumps(request).encode())
        return job

    def run(self, argv: Sequence[str] | str, *, stdin: bytes = b"",
            timeout: float = 120.0, env: dict[str, str] | None = None) -> Result:
        """Run a command (a string goes to bash) and collect its output.

        A command that does not end in `timeout` seconds is killed: TimeoutError.
        """
        command = ["bash", "-c", argv] if isinstance(argv, str) else argv
        job = self.start(command, env=env)
        if stdin:
            job.feed(stdin)
        job.feed(b"")
        try:
            return job.wait(timeout)
        except TimeoutError:
            job.kill()
            raise

    def send(self, kind: int, number: int, payload: bytes = b"") -> None:
        """One frame to the agent."""
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._socket is None:
                raise L1Died("the lab machine is closed")
            try:
                self._socket.sendall(agent.pack(kind, number, payload))
            except OSError as error:
                raise L1Died(f"the lab machine is gone ({error.strerror}); "
                             f"log: {self.log}") from error

    def is_lost(self) -> bool:
        """True once the machine died or wedged."""
        with self._lock:
            return self._error is not None

    def console(self) -> str:
        """What its kernel said so far."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def last_line(self) -> str:
        """The console's last line with something on it."""
        lines = [line.strip() for line in self.console().splitlines() if line.strip()]
        return lines[-1] if lines else "nothing"

    # -- threads ------------------------------------------------------------

    def _read(self) -> None:
        """Deliver the agent's frames until the machine is gone."""
        sock = self._socket
        assert sock is not None
        while True:
            try:
                data = sock.recv(1 << 17)
            except OSError:
                data = b""
            if not data:
                break
            self._heard = time.monotonic()
            for kind, number, payload in self._unpacker.feed(data):
                self._deliver(kind, number, payload)
        self._fail(L1Died(f"the lab machine ended, last said: {self.last_line()}; "
                          f"log: {self.log}"))

    def _deliver(self, kind: int, number: int, payload: bytes) -> None:
        if kind == agent.BYE:
            self._said_bye.set()
        with self._lock:
            job = self._jobs.get(number)
            if kind == agent.EXIT:
                self._jobs.pop(number, None)
        if job is not None:
            job.deliver(kind, payload)

    def _ping(self) -> None:
        """Notice a machine that runs but no longer gets anywhere."""
        while not self._stop.wait(PING_EVERY):
            try:
                self.send(agent.PING, 0)
            except LabError:
                return
            if time.monotonic() - self._heard > SILENCE_LIMIT:
                self._fail(L1Wedged(
                    f"the lab machine wedged: no answer for {SILENCE_LIMIT:g} s, "
                    f"last said: {self.last_line()}; log: {self.log}"))
                return

    def _fail(self, error: LabError) -> None:
        """Every job, now and later, ends with this error (the first one counts)."""
        if self._stop.is_set():
            return
        with self._lock:
            self._error = self._error or error
            jobs, self._jobs = list(self._jobs.values()), {}
        for job in jobs:
            job.fail(self._error)


def qemu_binary(given: Path | None) -> Path:
    """The emulator to use; LabError when there is none."""
    found = str(given) if given else shutil.which("qemu-system-x86_64")
    if not found:
        raise LabError("no qemu-system-x86_64 on this host; install qemu-system-x86")
    if not os.access(found, os.X_OK):
        raise LabError(f"cannot run the lab's QEMU {found}; see --lab-qemu")
    return Path(found).absolute()


def shares(config: L1Config) -> list[str]:
    """virtme-ng's options for directories L1 would not see, or has to write."""
    options: list[str] = []
    for path in config.share:
        real = path.resolve()
        if any(real.is_relative_to(top) for top in HIDDEN):
            options.append(f"--rodir={checked(real)}")
    options += [f"--rwdir={checked(path.resolve())}" for path in config.share_rw]
    return options


def checked(path: Path) -> Path:
    """A path that survives QEMU's and the kernel command line's separators."""
    if any(char in " \t\n,=\"" for char in str(path)):
        raise LabError(f"the lab cannot use {path}: a space, comma, quote or '=' in the path")
    return path


def virtme_command(config: L1Config, address: Path) -> list[str]:
    """The whole command line that boots L1."""
    start = f"exec {sys.executable} -I -S {agent.__file__}"
    command = [
        sys.executable, "-m", "virtme.commands.run",
        "--kimg", str(checked(config.vmlinuz)), "--mods", "auto",
        "--script-sh", start, "--show-boot-console",
        "--qemu-bin", str(qemu_binary(config.qemu)),
        "--disable-kvm", "--disable-microvm", "--force-9p",
        "--cpus", str(config.cpus), "--memory", f"{config.memory}M", "--name", "l1",
        *shares(config)]
    for top in OVERLAYS:
        command += ["--overlay-rwdir", top]
    # Its check of the timer wants ticks in time, which a busy host does not give; it would panic.
    for argument in ("console=ttyS0", "loglevel=5", "no_timer_check", *config.kernel_args):
        command += ["--kopt", argument]
    return [*command, "--qemu-opts", *qemu_options(config, address)]


def qemu_options(config: L1Config, address: Path) -> list[str]:
    """QEMU options beyond virtme-ng's own: emulation threads, agent port, disks."""
    options = [
        "-accel", f"tcg,thread={config.threads}",
        "-chardev", f"socket,id=agent,path={address}",
        "-device", "virtio-serial-pci,id=agentbus",
        "-device", f"virtserialport,bus=agentbus.0,chardev=agent,name={agent.PORT_NAME}"]
    if config.icount:
        options += ["-icount", "shift=0,sleep=off"]
    for index, disk in enumerate(config.disks):
        readonly = "on" if disk.readonly else "off"
        options += [
            "-drive", f"if=none,id=lab{index},format=raw,file={checked(disk.path.resolve())},"
                      f"readonly={readonly}",
            "-device", f"virtio-blk-pci,drive=lab{index},serial={disk.serial}"]
    return options
