# SPDX-License-Identifier: GPL-2.0-only
"""The agent inside L1: runs commands that the lab sends over a virtio port.

Frames in both directions: kind u8, job u16, length u32 (little endian), then
the payload. The lab imports this file for the frame format; in L1 it runs as a
program with the standard library only (start-up counts under emulation).
"""

import json
import os
import selectors
import signal
import struct
import sys

HEADER = struct.Struct("<BHI")
PAYLOAD_MAX = 1 << 20
CHUNK = 32768

# lab -> agent
RUN, STDIN, SIGNAL, PING, QUIT, WINSIZE = 1, 2, 3, 4, 5, 6
# agent -> lab
HELLO, OUT, ERR, EVENT, EXIT, PONG, BYE = 65, 66, 67, 68, 69, 70, 71

PORT_NAME = "unikvm.agent"
EVENT_FD = 3  # a job's file descriptor for events (its environment names it)


def pack(kind: int, job: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return HEADER.pack(kind, job, len(payload)) + payload


class Unpacker:
    """Frames out of a byte stream; a frame above PAYLOAD_MAX is a ValueError."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Add bytes; returns the frames (kind, job, payload) now whole."""
        self.buffer += data
        frames = []
        while len(self.buffer) >= HEADER.size:
            kind, job, length = HEADER.unpack_from(self.buffer)
            if length > PAYLOAD_MAX:
                raise ValueError(f"agent frame of {length} bytes")
            end = HEADER.size + length
            if len(self.buffer) < end:
                break
            frames.append((kind, job, bytes(self.buffer[HEADER.size:end])))
            del self.buffer[:end]
        return frames


class Job:
    """One command: its process and the pipes to it."""

    def __init__(self, number: int, request: dict) -> None:
        self.number = number
        self.pending = bytearray()
        self.stdin_closed = False
        self.tty = bool(request.get("tty"))
        self.streams: dict[int, int] = {}  # fd -> frame kind
        self.stdin = -1
        self.pid = self._spawn(request)
        self.pidfd = os.pidfd_open(self.pid)

    def _spawn(self, request: dict) -> int:
        """Start the command; as a terminal session when asked for one."""
        if self.tty:
            pid, master = os.forkpty()
            if pid == 0:
                execute(request)
            set_winsize(master, request.get("rows", 24), request.get("columns", 80))
            self.stdin = master
            self.streams = {master: OUT}
            return pid
        pairs = {name: os.pipe() for name in ("in", "out", "err", "event")}
        pid = os.fork()
        if pid == 0:
            os.setsid()
            ends = (pairs["in"][0], pairs["out"][1], pairs["err"][1], pairs["event"][1])
            high = [os.dup2(fd, 64 + index) for index, fd in enumerate(ends)]
            for target, fd in enumerate(high):
                os.dup2(fd, target, inheritable=True)
            os.closerange(4, 256)
            execute(request)
        os.close(pairs["in"][0])
        for name in ("out", "err", "event"):
            os.close(pairs[name][1])
        self.stdin = pairs["in"][1]
        self.streams = {pairs["out"][0]: OUT, pairs["err"][0]: ERR, pairs["event"][0]: EVENT}
        return pid


def execute(request: dict) -> None:
    """Become the command; never returns."""
    try:
        for number in (signal.SIGPIPE, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        env = dict(os.environ, **request.get("env", {}))
        if request.get("cwd"):
            os.chdir(request["cwd"])
        os.execvpe(request["argv"][0], request["argv"], env)
    except OSError as error:
        os.write(2, f"{request['argv'][0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def set_winsize(fd: int, rows: int, columns: int) -> None:
    """Tell a terminal its size (TIOCSWINSZ)."""
    import fcntl
    import termios
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("<HHHH", rows, columns, 0, 0))


class Agent:
    """The loop between the port and the jobs."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.jobs: dict[int, Job] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(port, selectors.EVENT_READ, ("port", None))
        self.unpacker = Unpacker()
        self.running = True

    def send(self, kind: int, job: int, payload: bytes = b"") -> None:
        """One frame to the lab, whole."""
        data = pack(kind, job, payload)
        while data:
            data = data[os.write(self.port, data):]

    def loop(self) -> None:
        """Serve until QUIT or the port's other end goes away."""
        self.send(HELLO, 0, json.dumps({"kernel": os.uname().release}).encode())
        while self.running:
            for key, mask in self.selector.select():
                self.dispatch(key, mask)

    def dispatch(self, key: selectors.SelectorKey, mask: int) -> None:
        """Act on one ready file, unless an earlier one of the same round closed it."""
        current = self.selector.get_map().get(key.fd)
        if current is None or current.data != key.data:
            return
        what, job = key.data
        if what == "port":
            self.port_readable()
        elif what == "exit":
            self.job_exited(job)
        elif mask & selectors.EVENT_READ:
            self.stream_readable(job, key.fd)
        else:
            self.feed_stdin(job)

    def port_readable(self) -> None:
        data = os.read(self.port, CHUNK)
        if not data:
            self.running = False
        for kind, number, payload in self.unpacker.feed(data):
            self.frame(kind, number, payload)

    def frame(self, kind: int, number: int, payload: bytes) -> None:
        """Act on one frame of the lab."""
        job = self.jobs.get(number)
        if kind == RUN:
            self.start(number, json.loads(payload))
        elif kind == PING:
            self.send(PONG, number)
        elif kind == QUIT:
            os.sync()
            self.send(BYE, 0)
            self.running = False
        elif job is None:
            return  # the job ended while the frame was on its way
        elif kind == STDIN:
            job.pending += payload
            job.stdin_closed = job.stdin_closed or not payload
            self.feed_stdin(job)
        elif kind == SIGNAL:
            self.kill(job, payload[0])
        elif kind == WINSIZE and job.tty and job.stdin >= 0:
            set_winsize(job.stdin, *struct.unpack("<HH", payload))

    def kill(self, job: Job, number: int) -> None:
        try:
            os.killpg(job.pid, number)
        except ProcessLookupError:
            pass

    def start(self, number: int, request: dict) -> None:
        """Start a job and watch its ends."""
        job = self.jobs[number] = Job(number, request)
        os.set_blocking(job.stdin, False)
        for fd in job.streams:
            os.set_blocking(fd, False)
            self.selector.register(fd, selectors.EVENT_READ, ("stream", job))
        self.selector.register(job.pidfd, selectors.EVENT_READ, ("exit", job))

    def feed_stdin(self, job: Job) -> None:
        """Write what is pending; wait for room when the pipe is full."""
        if job.stdin < 0:
            return
        try:
            while job.pending:
                del job.pending[:os.write(job.stdin, job.pending[:CHUNK])]
        except BlockingIOError:
            self.watch_stdin(job, True)
            return
        except OSError:
            job.pending.clear()
            job.stdin_closed = True
        self.watch_stdin(job, False)
        if job.stdin_closed and not job.tty:
            os.close(job.stdin)
            job.stdin = -1

    def watch_stdin(self, job: Job, wanted: bool) -> None:
        """(Un)register interest in room on a job's standard input."""
        if job.tty:
            mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
            if job.stdin in job.streams:
                self.selector.modify(job.stdin, mask, ("stream", job))
        elif wanted and job.stdin not in self.selector.get_map():
            self.selector.register(job.stdin, selectors.EVENT_WRITE, ("stdin", job))
        elif not wanted and job.stdin in self.selector.get_map():
            self.selector.unregister(job.stdin)

    def stream_readable(self, job: Job, fd: int) -> bool:
        """Forward one chunk; False when there is none now or no more."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # a pty whose last user closed it reads EIO
            data = b""
        if data:
            self.send(job.streams[fd], job.number, data)
            return True
        self.drop_stream(job, fd)
        return False

    def drop_stream(self, job: Job, fd: int) -> None:
        self.selector.unregister(fd)
        del job.streams[fd]
        os.close(fd)
        if fd == job.stdin:
            job.stdin = -1

    def job_exited(self, job: Job) -> None:
        """Last output, then the exit status. Background children do not delay it."""
        _, status = os.waitpid(job.pid, 0)
        for fd in list(job.streams):
            while self.stream_readable(job, fd):
                pass
        for fd in list(job.streams):
            self.drop_stream(job, fd)
        if job.stdin >= 0:
            self.watch_stdin(job, False)
            os.close(job.stdin)
        self.selector.unregister(job.pidfd)
        os.close(job.pidfd)
        del self.jobs[job.number]
        code = os.waitstatus_to_exitcode(status)
        self.send(EXIT, job.number, struct.pack("<i", code if code >= 0 else 128 - code))


def find_port() -> int:
    """Open the virtio port of our name; OSError when the machine has none."""
    base = "/sys/class/virtio-ports"
    for entry in os.listdir(base):
        with open(f"{base}/{entry}/name", encoding="ascii") as file:
            if file.read().strip() == PORT_NAME:
                return os.open(f"/dev/{entry}", os.O_RDWR | os.O_CLOEXEC)
    raise FileNotFoundError(f"no virtio port named {PORT_NAME}")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Agent(find_port()).loop()
    sys.exit(0)
