# SPDX-License-Identifier: GPL-2.0-only
"""The debugger's side of GDB's remote protocol, against a stub of a few lines."""

import socket
import struct
import threading

import pytest

from unikvm.lab.gdbstub import HARDWARE, SOFTWARE, GdbStub, StubError

pytestmark = pytest.mark.unit

RIP = 0xFFFFFFFF81234560


def packet(text):
    return f"${text}#{sum(text.encode()) & 0xFF:02x}".encode()


class Stub:
    """Answers by a script; keeps what it was asked."""

    def __init__(self, path, answers):
        self.asked, self._answers = [], answers
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(1)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        with self._server:
            connection, _ = self._server.accept()
        with connection, connection.makefile("rb") as file:
            while char := file.read(1):
                if char == b"\x03":
                    connection.sendall(packet("T02thread:01;"))
                if char != b"$":
                    continue
                body = b""
                while (char := file.read(1)) != b"#":
                    body += char
                assert int(file.read(2), 16) == sum(body) & 0xFF
                self.asked.append(body.decode())
                answer = self._answers.get(body.decode())
                if answer is not None:
                    connection.sendall(b"+" + answer)


@pytest.fixture
def meet(tmp_path):
    made = []

    def make(answers, patience=10.0):
        registers = struct.pack("<17Q", *range(16), RIP).hex() + "00000000" * 7
        stub = Stub(tmp_path / "stub", {"g": packet(registers), **answers})
        made.append((GdbStub(tmp_path / "stub", patience), stub))
        return made[-1]

    yield make
    for client, stub in made:
        client.close()
        stub.thread.join()


def test_breakpoints_and_steps(meet):
    client, stub = meet({"Z1,1000,1": packet("OK"), "z0,fff0,1": packet("OK"),
                         "c": packet("T05thread:02;"), "s": packet("S05")})
    client.insert(HARDWARE, 0x1000)
    assert client.run_to_stop() == RIP
    client.remove(SOFTWARE, 0xFFF0)
    assert client.step() == RIP and client.interrupt() == RIP
    assert stub.asked == ["Z1,1000,1", "c", "g", "z0,fff0,1", "s", "g", "g"]


@pytest.mark.parametrize("answer, part", [
    (packet("E22"), "E22"), (packet(""), "''"), (b"$OK#00", "checksum"), (None, "no answer")])
def test_a_stub_that_refuses(meet, answer, part):
    client, _ = meet({"Z0,10,1": answer}, patience=1.0)
    with pytest.raises(StubError, match=part):
        client.insert(SOFTWARE, 0x10)


def test_an_exit_is_no_stop(meet):
    client, _ = meet({"c": packet("W00")})
    with pytest.raises(StubError, match="W00"):
        client.run_to_stop()
