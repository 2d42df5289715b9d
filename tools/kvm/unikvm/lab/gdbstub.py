# SPDX-License-Identifier: GPL-2.0-only
"""A client of GDB's remote serial protocol, as far as breakpoints and stepping need it."""

import socket
import struct
from pathlib import Path

from unikvm.lab import LabError

# The register packet of x86-64: 16 general registers of 8 bytes, then RIP.
_RIP = 16 * 8
SOFTWARE, HARDWARE = 0, 1  # kinds of breakpoint in Z and z packets


class StubError(LabError):
    """The stub refused something, said nonsense, or nothing in time."""


class GdbStub:
    """A connection to a stub that listens on a Unix socket."""

    def __init__(self, path: Path, patience: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(patience)
        self._socket.connect(str(path))
        self._pending = b""

    def close(self) -> None:
        """The guest goes on."""
        self._socket.close()

    def ask(self, text: str) -> str:
        """Send a packet, return the reply."""
        self._send(text)
        return self._reply(text)

    def rip(self) -> int:
        """Of the CPU that stopped last."""
        registers = bytes.fromhex(self.ask("g"))
        value: int = struct.unpack_from("<Q", registers, _RIP)[0]
        return value

    def insert(self, kind: int, address: int) -> None:
        """Set a breakpoint."""
        self._expect_ok(f"Z{kind},{address:x},1")

    def remove(self, kind: int, address: int) -> None:
        """Take it away."""
        self._expect_ok(f"z{kind},{address:x},1")

    def run_to_stop(self) -> int:
        """Continue until something stops all CPUs; RIP there."""
        return self._stopped("c")

    def step(self) -> int:
        """One instruction; RIP after it."""
        return self._stopped("s")

    def interrupt(self) -> int:
        """Stop a running guest; RIP there."""
        self._socket.sendall(b"\x03")
        self._check_stop(self._reply("interrupt"))
        return self.rip()

    def go(self) -> None:
        """Continue, and do not wait for a stop."""
        self._send("c")

    def _stopped(self, command: str) -> int:
        self._check_stop(self.ask(command))
        return self.rip()

    @staticmethod
    def _check_stop(reply: str) -> None:
        if reply[:1] not in ("S", "T"):
            raise StubError(f"no stop, but {reply!r}")

    def _expect_ok(self, command: str) -> None:
        reply = self.ask(command)
        if reply != "OK":
            raise StubError(f"{command} was answered {reply!r}")

    def _send(self, text: str) -> None:
        body = text.encode("ascii")
        self._socket.sendall(b"$" + body + b"#%02x" % (sum(body) & 0xFF))

    def _reply(self, command: str) -> str:
        try:
            while self._byte() != b"$":
                pass  # acknowledgements
            body = b""
            while (char := self._byte()) != b"#":
                body += char
            checksum = self._byte() + self._byte()
            self._socket.sendall(b"+")
        except TimeoutError:
            raise StubError(f"no answer to {command}") from None
        if int(checksum, 16) != sum(body) & 0xFF:
            raise StubError(f"bad checksum in the answer to {command}")
        return body.decode("ascii")

    def _byte(self) -> bytes:
        if not self._pending:
            self._pending = self._socket.recv(4096)
            if not self._pending:
                raise StubError("the stub hung up")
        char, self._pending = self._pending[:1], self._pending[1:]
        return char
