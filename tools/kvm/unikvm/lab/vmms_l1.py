# SPDX-License-Identifier: GPL-2.0-only
"""Run one case of the VMM suite: libkrun or Hyperlight, and what their guests must say.

A program in L1, see unikvm.lab.cases_l1.
"""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from unikvm.lab.cases_l1 import Case, CaseFailed, expect, judge

STATUS = 9      # of the guest's command: anything that no failure gives by itself
IMAGE = "unikvm/busybox:1"
DISK_SIZE = 1 << 30     # bytes, most of which stay a hole
COUNTING = """
(i=0; while :; do i=$((i + 1)); echo $i >/n.new; mv /n.new /n; sleep 0.1; done) >&- 2>&- <&- &
"""
# libkrun's front end asks its own program for its version and waits two seconds, too few at
# times under emulation; then it gives up, or thinks that the program is an old one.
IMPATIENT = re.compile("version probe timed out|selected msb runtime does not support")
ATTEMPTS = 5


class Run(Case):
    """A case, and what its programs said."""

    def __init__(self, order: dict, folder: Path) -> None:
        super().__init__(order, folder)
        self.home = folder / "home"
        self.home.mkdir()
        self._said: list[str] = []

    def call(self, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; CaseFailed when that takes too long."""
        try:
            done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False,
                                  stdin=subprocess.DEVNULL, timeout=self.left(),
                                  env={**os.environ, "HOME": str(self.home), **env})
        except subprocess.TimeoutExpired as late:
            raise CaseFailed(f"took longer than {self.order['limit']:g} s: {late.cmd}") from late
        self._said.append(f"-- {Path(words[0]).name} {' '.join(map(str, words[1:]))}\n"
                          f"{done.stdout}{done.stderr}-- status {done.returncode}")
        return done

    def end(self) -> str:
        """What the last programs said, and the logs' ends."""
        logs = [f"-- {path.name}:\n{path.read_text(errors='replace')[-1500:]}"
                for path in self.home.glob(".microsandbox/sandboxes/*/logs/*.log")]
        if self.home.is_mount():
            subprocess.run(["pkill", "-KILL", "-x", "msb"], check=False)    # those in the background
            subprocess.run(["umount", "--lazy", self.home], check=True)
        return "\n".join([*self._said[-3:], *logs])


# -- libkrun ------------------------------------------------------------------

class Libkrun:
    """Its front end, with an image that holds busybox alone."""

    def __init__(self, run: Run) -> None:
        self.run = run
        mount_ext4(run.home)
        self._program = Path(run.order["folder"]) / run.order["program"]
        image = run.folder / "image.tar"
        image.write_bytes(busybox_image(Path(run.order["busybox"])))
        self("load", "-i", image)
        self._shape = ("-c", str(run.order["cpus"]), "-m", "256M")

    def __call__(self, *words: str | Path) -> str:
        """What it says, when all went well."""
        done = self.run.call(self._program, *words)
        expect(f"status of {words[0]}", done.returncode, 0)
        return done.stdout

    def new(self, *words: str | Path) -> tuple[str, subprocess.CompletedProcess[str]]:
        """A command that makes a guest; the guest's name, and how the command ended."""
        for attempt in range(ATTEMPTS):
            name = f"{words[0]}{attempt}"
            done = self.run.call(self._program, words[0], "--name", name, *words[1:])
            if not IMPATIENT.search(done.stderr):
                break
        return name, done

    def made(self, *words: str | Path) -> str:
        """The name of a guest that was made."""
        name, done = self.new(*words)
        expect(f"status of {words[0]}", done.returncode, 0)
        return name

    def boot(self, command: str) -> subprocess.CompletedProcess[str]:
        """A guest for one command."""
        return self.new("run", "--no-tty", *self._shape, IMAGE, "--", "/bin/sh", "-c", command)[1]

    def counting(self) -> str:
        """The name of a guest that stays, and counts in a file."""
        name = self.made("create", *self._shape, IMAGE)
        self.execute(name, COUNTING)
        return name

    def execute(self, name: str, command: str) -> str:
        """What a command in a guest says."""
        return self("exec", "--no-tty", name, "--", "/bin/sh", "-c", command)

    def count(self, name: str) -> int:
        """How far a guest has counted."""
        return int(self.execute(name, "cat /n"))

    def counts(self, name: str, least: int) -> None:
        """A guest has counted so far, goes on with it, and has all its CPUs."""
        found = self.count(name)
        if found < least:
            raise CaseFailed(f"{name} counted to {found} only, after {least}")
        while self.count(name) <= found:
            time.sleep(0.2)
        expect("CPUs", int(self.execute(name, "nproc")), self.run.order["cpus"])

    def stop(self, *names: str) -> None:
        """The guests power off."""
        self("stop", "-t", "60", *names)


def mount_ext4(folder: Path) -> None:
    """A file system with extended attributes of the user, which L1's /tmp has not."""
    image = folder.with_suffix(".ext4")
    with open(image, "wb") as file:
        file.truncate(DISK_SIZE)
    for words in (("modprobe", "loop"), ("mkfs.ext4", "-q", str(image)),
                  ("mount", "-o", "loop", str(image), str(folder))):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CaseFailed(f"{words[0]}: {done.stderr.strip()}")


def busybox_image(busybox: Path) -> bytes:
    """A container image as `docker save` writes it: one layer, busybox as its shell."""
    layer = tar({"bin/busybox": busybox.read_bytes(), "etc/passwd": b"root:x:0:0::/:/bin/sh\n"},
                {f"bin/{name}": "busybox" for name in ("sh", "uname", "nproc", "cat", "mv", "sleep")},
                ("proc", "sys", "dev", "tmp", "run", "etc", "root"))
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {
        "Env": ["PATH=/bin"]}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created_by": "unikvm"}]}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [IMAGE],
                            "Layers": ["layer.tar"]}]).encode()
    return tar({"config.json": config, "layer.tar": layer, "manifest.json": manifest})


def tar(files: dict[str, bytes], links: dict[str, str] | None = None,
        folders: tuple[str, ...] = ()) -> bytes:
    """A tar archive: programs (or what else), symbolic links, folders."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return out.getvalue()


def libkrun_boot(run: Run) -> None:
    """Linux boots, runs a command, ends with its status."""
    done = Libkrun(run).boot(f"uname -s; nproc; echo oops >&2; exit {STATUS}")
    expect("what the guest said", done.stdout, f"Linux\n{run.order['cpus']}\n")
    expect("its status", done.returncode, STATUS)


def libkrun_pause(run: Run) -> None:
    """A guest that was paused goes on."""
    krun = Libkrun(run)
    one = krun.counting()
    before = krun.count(one)
    krun("pause", one)
    krun("resume", one)
    krun.counts(one, before)
    krun.stop(one)


def libkrun_snapshot(run: Run) -> None:
    """A new VM goes on where a guest was; so does the guest."""
    krun = Libkrun(run)
    one = krun.counting()
    before = krun.count(one)
    krun("snapshot", "create", "then", "--sandbox", one, "--full")
    krun.counts(one, before)
    two = krun.made("restore", f"{one}:then")
    krun.counts(two, before)
    krun.stop(one, two)


def libkrun_fork(run: Run) -> None:
    """The same without a snapshot on disk."""
    krun = Libkrun(run)
    one = krun.counting()
    before = krun.count(one)
    two = krun.made("fork", one)
    krun.counts(one, before)
    krun.counts(two, before)
    krun.stop(one, two)


# -- Hyperlight ---------------------------------------------------------------

JAVASCRIPT = """
from hyperlight_sandbox import Sandbox
sandbox = Sandbox(backend="hyperlight-js")
print(sandbox.run("console.log('says', 6 * 7)").stdout)
"""
# The guest calls its host for the sum.
PYTHON = """
from hyperlight_sandbox import Sandbox
sandbox = Sandbox(backend="wasm", module="python_guest.path")
sandbox.register_tool("add", lambda a=0, b=0: a + b)
print(sandbox.run("print('says', call_tool('add', a=40, b=2))").stdout)
"""
SNAPSHOT = """
from hyperlight_sandbox import Sandbox
sandbox = Sandbox(backend="wasm", module="python_guest.path")
sandbox.run("found = 42")
taken = sandbox.snapshot()
sandbox.run("found = 43")
sandbox.restore(taken)
print(sandbox.run("print('says', found)").stdout)
"""


def hyperlight(run: Run, script: str) -> None:
    """The guest's answer comes through the host's program."""
    done = run.call(sys.executable, "-c", script, PYTHONPATH=run.order["folder"])
    expect("what the guest said", re.findall(r"^says (.*)$", done.stdout, re.MULTILINE), ["42"])
    expect("the VMM's status", done.returncode, 0)


KINDS = {
    ("libkrun", "boot"): libkrun_boot,
    ("libkrun", "pause"): libkrun_pause,
    ("libkrun", "snapshot"): libkrun_snapshot,
    ("libkrun", "fork"): libkrun_fork,
    ("hyperlight", "javascript"): lambda run: hyperlight(run, JAVASCRIPT),
    ("hyperlight", "python"): lambda run: hyperlight(run, PYTHON),
    ("hyperlight", "snapshot"): lambda run: hyperlight(run, SNAPSHOT),
}


if __name__ == "__main__":
    sys.exit(judge(Run, lambda run: KINDS[run.order["vmm"], run.order["what"]](run)))
