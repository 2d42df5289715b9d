# SPDX-License-Identifier: GPL-2.0-only
"""Other people's VMMs, as they are published: what they are, and the cases each is given.

They come as Python wheels, unpacked and not installed, into the cache as
`vmms/NAME-VERSION`. `unikvm.lab.vmms_l1` is the part that runs in L1, beside them.
"""

import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from unikvm.lab import LabError, initramfs, kernels, places
from unikvm.lab.appearing import appearing

PROGRAM = "unikvm.lab.vmms_l1"
# Seconds for a case, with up to two guests, under emulation on a busy host.
CASE_LIMIT = 400.0


@dataclass(frozen=True)
class Vmm:
    """wheels: what to fetch, each of the same version; program: a file that is executed."""

    name: str
    version: str
    wheels: tuple[str, ...]
    program: str | None = None


# libkrun, of the rust-vmm family, with the kernel it brings along.
LIBKRUN = Vmm("libkrun", "0.7.11", ("microsandbox",), "microsandbox/_bundled/bin/msb")
# Hyperlight: no devices, no kernel; a guest program in long mode that calls its host.
HYPERLIGHT = Vmm("hyperlight", "0.8.0", (
    "hyperlight-sandbox", "hyperlight-sandbox-backend-hyperlight-js",
    "hyperlight-sandbox-backend-wasm", "hyperlight-sandbox-python-guest"))
VMMS = (LIBKRUN, HYPERLIGHT)


@dataclass(frozen=True)
class Case:
    """One thing that a VMM does.

    libkrun: "boot" (Linux; a command, its output and status), "pause" (and resumed), "snapshot"
    (of a running guest with all its state; a new VM goes on from it), "fork" (of a running
    guest). hyperlight: "javascript" and "python" (an interpreter as guest), "snapshot" (the
    guest is put back to it).
    """

    vmm: str
    what: str
    cpus: int | None = None

    @property
    def name(self) -> str:
        """As in the table and on the command line."""
        name = f"{self.vmm}-{self.what}"
        return f"{name}-{self.cpus}cpu" if self.cpus else name


def all_cases() -> list[Case]:
    """All of them."""
    return [*(Case("libkrun", what, cpus) for what, counts in
              (("boot", (1, 2, 4)), ("pause", (2,)), ("snapshot", (1, 2)), ("fork", (1, 2)))
              for cpus in counts),
            *(Case("hyperlight", what) for what in ("javascript", "python", "snapshot"))]


def order(case: Case, folders: dict[str, Path]) -> dict[str, object]:
    """What PROGRAM is to do. folders: of the VMMs, by name."""
    return {**asdict(case), "folder": str(folders[case.vmm]), "program": LIBKRUN.program,
            "busybox": str(initramfs.busybox()), "limit": CASE_LIMIT}


def fetched(vmm: Vmm, progress: kernels.Progress = lambda _: None) -> Path:
    """A VMM's folder in the cache. Raises LabError when it cannot be had."""
    target = places.cache_dir() / "vmms" / f"{vmm.name}-{vmm.version}"
    with kernels.locked(f"vmm-{vmm.name}"):
        if not target.is_dir():
            with appearing(target) as work:
                progress(f"fetching {vmm.name} {vmm.version}")
                install(vmm, work)
    return target


def install(vmm: Vmm, folder: Path) -> None:
    """Have pip unpack the wheels; none of their code runs."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-compile", "--only-binary", ":all:", "--target", str(folder),
         *(f"{name}=={vmm.version}" for name in vmm.wheels)],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise LabError(f"cannot fetch {vmm.name} {vmm.version}: {said[-1]}")
    if vmm.program:
        (folder / vmm.program).chmod(0o755)     # wheels need not have modes
