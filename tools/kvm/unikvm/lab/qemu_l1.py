# SPDX-License-Identifier: GPL-2.0-only
"""Run one case of the QEMU suite: QEMU, what talks to it, and what it must say.

A program in L1, see unikvm.lab.cases_l1.
"""

import contextlib
import hashlib
import json
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from unikvm.lab import bootdisk, gdbstub, guest, initramfs
from unikvm.lab.cases_l1 import Case, CaseFailed, CaseSkipped, expect, judge

DISK_SIZE, HALF = 8 << 20, 4 << 20
ECHO_PORT = 7007
STATUS = 9  # of the guest's command: anything that no failure gives by itself
LOADER_DISK = 96 << 20

# Reads half a disk and copies it to the other half, sends a quarter over the net
# to come back; what it prints is compared on this side.
TRAFFIC = f"""
uname -r
nproc
for each in /sys/block/vd*; do
	[ "$(cat $each/serial)" = data ] && disk=/dev/${{each##*/}}
done
dd if=$disk bs=64k count=64 2>/dev/null | sha256sum
dd if=$disk of=$disk bs=64k count=64 seek=64 conv=fsync 2>/dev/null
modprobe virtio_net
ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0
dd if=$disk bs=64k count=32 2>/dev/null | nc 10.0.2.2 {ECHO_PORT} | sha256sum
echo oops >&2
exit {STATUS}
"""

# The first time it resets the machine, the second time it ends.
RESETTING = f"""
for each in /sys/block/vd*; do
	[ "$(cat $each/serial)" = data ] && disk=/dev/${{each##*/}}
done
mark=$(dd if=$disk bs=6 count=1 2>/dev/null | tr -d '\\0')
echo "${{mark:-first}}"
nproc
[ "$mark" = second ] && exit {STATUS}
printf second | dd of=$disk conv=fsync 2>/dev/null
stty raw -echo </dev/hvc0
reboot -f
sleep 1000
"""

TICKS = 120
TICKING = f"""
i=0
while [ $i -lt {TICKS} ]; do
	echo tick $i
	i=$((i + 1))
	sleep 0.1
done
nproc
exit {STATUS}
"""

# Calls one function of the kernel again and again, after saying where it is.
NAMING = f"""
awk '$3 == "__x64_sys_sethostname" {{ print "at", $1 }}' /proc/kallsyms
i=0
while [ $i -lt 60 ]; do
	hostname name$i
	i=$((i + 1))
	sleep 0.2
done
hostname
nproc
exit {STATUS}
"""


class Qmp:
    """QEMU's control socket."""

    def __init__(self, path: Path, patience: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(patience)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("r", encoding="utf-8")
        self._file.readline()
        self("qmp_capabilities")

    def __call__(self, command: str, **arguments: object) -> object:
        """Execute, and return what it returns."""
        request = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(request).encode())
        while True:
            line = self._file.readline()
            if not line:
                raise CaseFailed(f"QEMU hung up at {command}")
            reply = json.loads(line)
            if "error" in reply:
                raise CaseFailed(f"{command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def human(self, line: str) -> None:
        """A command of the human monitor; what it prints is a complaint."""
        said = self("human-monitor-command", **{"command-line": line})
        if said:
            raise CaseFailed(f"{line}: {said}")


class Run(Case):
    """One QEMU process and its files."""

    def __init__(self, order: dict, folder: Path) -> None:
        super().__init__(order, folder)
        self._process: subprocess.Popen[bytes] | None = None

    # -- the command line ---------------------------------------------------

    def start(self, script: str, *options: str) -> None:
        """Start QEMU with a guest that runs the script; it ends where the guest resets."""
        self.start_resettable(script, "-no-reboot", *options)

    def start_resettable(self, script: str, *options: str) -> None:
        """The same, but a reset starts the guest again."""
        order, folder = self.order, self.folder
        initrd = folder / "initrd"
        initrd.write_bytes(Path(order["initramfs"]).read_bytes()
                           + initramfs.command_archive(script))
        words = [*options]
        # With one port each there is no control queue: the guest finds them in order.
        for number in range(3):
            words += ["-device", f"virtio-serial-pci,id=bus{number},max_ports=1",
                      "-chardev", f"file,id=hvc{number},path={folder}/hvc{number}",
                      "-device", f"virtconsole,bus=bus{number}.0,chardev=hvc{number}"]
        if order["boot"] == "seabios":
            words += disk(loader_disk(folder, Path(order["vmlinuz"]), initrd), "loader",
                          "bootindex=0")
        else:
            words += [*flash(folder, order["flash"]), "-kernel", order["vmlinuz"],
                      "-initrd", str(initrd), "-append", f"{guest.CMDLINE} quiet"]
        self.start_bare("512", *words)

    def start_bare(self, mebibytes: str, *options: str) -> None:
        """Start QEMU with the case's machine, a serial port, and what the options add."""
        order, folder = self.order, self.folder
        # The one machine that has no PCI unless asked for.
        kind = "microvm,pcie=on" if order["machine"] == "microvm" else order["machine"]
        words = [*order["qemu"], "-machine", f"{kind},accel=kvm,kernel-irqchip={order['irqchip']}",
                 "-cpu", "host", "-smp", str(order["cpus"]), "-m", mebibytes, "-nodefaults",
                 "-vga", "none", "-display", "none",
                 "-serial", f"file:{folder}/serial",
                 "-qmp", f"unix:{folder}/qmp,server=on,wait=off", *options]
        with open(folder / "qemu.err", "wb") as errors:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                             stdout=errors, stderr=errors)

    # -- while it runs ------------------------------------------------------

    def said(self, number: int = 0) -> str:
        """What came through a console so far."""
        path = self.folder / f"hvc{number}"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for(self, what: str, look: Callable[[], object]) -> object:
        """Until look() returns something true; CaseFailed when QEMU ends before."""
        assert self._process is not None
        while not (found := look()):
            if self._process.poll() is not None:
                raise CaseFailed(f"QEMU ended (status {self._process.returncode}) before {what}")
            self.left()
            time.sleep(0.05)
        return found

    def connect(self, name: str, make: Callable) -> object:
        """A client of the socket that QEMU makes."""
        path = self.folder / name
        self.wait_for(f"its socket {name}", path.exists)
        return make(path, self.left())

    def finish(self, stdout: str | None = None, boots: int = 1) -> None:
        """The guest, booted so often, ran to its end, said what it had to, and powered off."""
        assert self._process is not None
        while (status := self._process.poll()) is None:
            self.left()
            # QEMU only pauses a guest that KVM gave up.
            if "KVM internal error" in (self.folder / "qemu.err").read_text(errors="replace"):
                raise CaseFailed("KVM internal error")
            time.sleep(0.1)
        expect("QEMU's status", status, 0)
        if stdout is not None:
            expect("what the guest said", self.said(), stdout)
        expect("the guest's init", self.said(2), "ready\n" * boots + f"exit {STATUS}\n")

    def end(self) -> str:
        """Kill what still runs; the logs' ends."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        texts = []
        for name in ("qemu.err", "hvc0", "hvc1", "serial"):
            with contextlib.suppress(OSError):
                text = (self.folder / name).read_text(errors="replace")[-1500:].strip()
                texts += [f"-- {name}:\n{text}"] if text else []
        return "\n".join(texts)


def disk(path: Path, serial: str, *more: str, form: str = "raw") -> list[str]:
    """Options for a virtio disk that the guest finds by its serial number."""
    return ["-drive", f"if=none,id={serial},file={path},format={form}",
            "-device", ",".join(["virtio-blk-pci", f"drive={serial}", f"serial={serial}", *more])]


def flash(folder: Path, images: Sequence[str]) -> list[str]:
    """Options for UEFI firmware: its code, and a copy of its variables that it may change."""
    if not images:
        return []
    code, variables = images
    shutil.copyfile(variables, folder / "variables")
    return ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
            "-drive", f"if=pflash,unit=1,format=raw,file={folder}/variables"]


def loader_disk(folder: Path, vmlinuz: Path, initrd: Path) -> Path:
    """A disk with a boot loader, kernel and initrd."""
    image, root = folder / "loader.img", folder / "root"
    root.mkdir()
    (root / "vmlinuz").write_bytes(vmlinuz.read_bytes())
    (root / "initrd").write_bytes(initrd.read_bytes())
    bootdisk.configure(root, "/vmlinuz", "/initrd", f"{guest.CMDLINE} quiet")
    bootdisk.make(root, image, LOADER_DISK)
    done = subprocess.run(["bash", "-c", bootdisk.install_script(image, folder / "mount")],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise CaseFailed(f"extlinux: {done.stderr.strip()}")
    return image


def empty_qcow2(path: Path, size: int) -> Path:
    """A disk image that can hold snapshots (qcow2 version 3, docs/interop/qcow2.txt).

    Four clusters of 64 KiB: header, refcount table, refcount block, L1 table.
    """
    cluster = 1 << 16
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, size, 0, 1,
                         3 * cluster, cluster, 1, 0, 0, 0, 0, 0, 4, 104)
    table = struct.pack(">Q", 2 * cluster)
    counts = struct.pack(">4H", 1, 1, 1, 1)
    path.write_bytes(b"".join(part.ljust(cluster, b"\0") for part in (header, table, counts, b"")))
    return path


def serve_echo() -> None:
    """Send back what comes, connection by connection, on L1's loopback."""
    server = socket.create_server(("127.0.0.1", ECHO_PORT))

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)

    threading.Thread(target=serve, daemon=True).start()


# -- the kinds of case --------------------------------------------------------

def boot(run: Run) -> None:
    """To init, traffic on disk and net, power-off."""
    content = random.Random(run.order["machine"]).randbytes(HALF)
    image = run.folder / "data"
    image.write_bytes(content + bytes(HALF))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
    serve_echo()
    run.start(TRAFFIC, *disk(image, "data"), "-netdev", "user,id=net",
              "-device", "virtio-net-pci,netdev=net,romfile=")
    lines = [run.order["release"], str(run.order["cpus"]),
             f"{hashlib.sha256(content).hexdigest()}  -",
             f"{hashlib.sha256(content[:HALF // 2]).hexdigest()}  -"]
    run.finish("".join(f"{line}\n" for line in lines))
    expect("standard error", run.said(1), "oops\n")
    if image.read_bytes() != content * 2:
        raise CaseFailed("the disk does not hold what the guest wrote")


def reset(run: Run) -> None:
    """A guest that resets its machine boots again, in the same VM."""
    image = run.folder / "data"
    image.write_bytes(bytes(1 << 20))
    run.start_resettable(RESETTING, *disk(image, "data"))
    cpus = run.order["cpus"]
    run.finish(f"first\n{cpus}\nsecond\n{cpus}\n", boots=2)


def snapshot(run: Run) -> None:
    """A guest taken back in time goes on from there."""
    run.start(TICKING, *disk(empty_qcow2(run.folder / "state", 1 << 20), "state", form="qcow2"))
    qmp = run.connect("qmp", Qmp)
    run.wait_for("tick 5", lambda: "tick 5\n" in run.said())
    qmp.human("savevm one")
    saved = ticks(run.said())[-1]
    run.wait_for("later ticks", lambda: ticks(run.said())[-1] >= saved + 10)
    qmp.human("loadvm one")
    run.finish()
    seen = ticks(run.said())
    back = next((i for i in range(1, len(seen)) if seen[i] <= seen[i - 1]), None)
    if back is None:
        raise CaseFailed("loadvm did not take the guest back")
    # The output of the last moments before savevm may have come after it.
    if not saved - 2 <= seen[back] <= saved + 2:
        raise CaseFailed(f"saved at tick {saved}, went on at {seen[back]}")
    expect("ticks after loadvm", seen[back:], list(range(seen[back], TICKS)))
    expect("CPUs", run.said().splitlines()[-1], str(run.order["cpus"]))


def ticks(text: str) -> list[int]:
    """The whole lines of a ticking guest; -1 before the first."""
    return [int(number) for number in re.findall(r"^tick (\d+)\n", text, re.MULTILINE)] or [-1]


def memtest(run: Run) -> None:
    """memtest86+ comes to its last test, which takes minutes, and has found nothing."""
    run.start_bare("16", "-kernel", run.order["vmlinuz"], "-append", "console=ttyS0,115200")

    def screen(pattern: str) -> list[str]:
        return re.findall(pattern, (run.folder / "serial").read_text(errors="replace"))

    qmp = run.connect("qmp", Qmp)
    run.wait_for("its last test", lambda: screen(r"#10 +\[Bit fade"))
    expect("CPUs", screen(r"SMP: (\d+T)")[-1:], [f"{run.order['cpus']}T"])
    expect("errors", set(screen(r"Errors: (\d+)")), {"0"})
    qmp("quit")


def attach(run: Run) -> gdbstub.GdbStub:
    """A guest that stands at its reset vector, and its stub."""
    run.start(NAMING, "-S", "-gdb", f"unix:{run.folder}/gdb,server=on,wait=off")
    stub = run.connect("gdb", gdbstub.GdbStub)
    expect("RIP at reset", stub.rip(), 0xFFF0)
    return stub


def named_function(run: Run) -> int:
    """The address that the guest prints before it calls what is there."""
    found = run.wait_for("the address", lambda: re.search(r"^at ([0-9a-f]{16})\n", run.said()))
    return int(found[1], 16)


def gdb(run: Run) -> None:
    """Steps through the firmware's first instructions; stopped and let go in the kernel."""
    stub = attach(run)
    # SeaBIOS begins with a far jump to F000:E05B, as every PC's firmware.
    expect("RIP after the first instruction", stub.step(), 0xE05B)
    passed = {stub.step() for _ in range(50)}
    if len(passed) < 10:
        raise CaseFailed(f"50 steps came to {len(passed)} instructions")
    stub.go()
    address = named_function(run)
    for _ in range(5):
        stub.interrupt()
        stub.go()
    run.finish(f"at {address:016x}\nname59\n{run.order['cpus']}\n")
    stub.close()


def breakpoint_hits(run: Run) -> None:
    """A breakpoint of each kind deep in the kernel, hit, stepped from, and hit again."""
    if "TCG" in Path("/proc/cpuinfo").read_text():
        raise CaseSkipped("QEMU's emulation of SVM neither arms DR7 of a VMCB nor intercepts "
                          "INT3 as #BP: no breakpoint hits in a guest, on any kernel half")
    stub = attach(run)
    stub.go()
    address = named_function(run)
    stub.interrupt()
    for kind in (gdbstub.SOFTWARE, gdbstub.HARDWARE):
        stub.insert(kind, address)
        for _ in range(2):
            expect(f"RIP at a breakpoint of kind {kind}", stub.run_to_stop(), address)
            stub.remove(kind, address)
            if stub.step() == address:
                raise CaseFailed("a step from a breakpoint went nowhere")
            stub.insert(kind, address)
        stub.remove(kind, address)
    stub.go()
    run.finish(f"at {address:016x}\nname59\n{run.order['cpus']}\n")
    stub.close()


KINDS = {"boot": boot, "reset": reset, "snapshot": snapshot, "gdb": gdb,
         "breakpoint": breakpoint_hits, "memtest": memtest}


if __name__ == "__main__":
    sys.exit(judge(Run, lambda run: KINDS[run.order["what"]](run)))
