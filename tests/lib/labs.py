# SPDX-License-Identifier: GPL-2.0-only
"""L1 machines that tests share: one at a time, restarted when it dies or wedges.

An L1 costs several seconds to boot, so a session keeps one for each set of
options and gives it to every test that asks; `Labs` also knows whether a wedge
is being repeated on the stock half.
"""

from collections.abc import Mapping
from pathlib import Path

from unikvm.lab import kernels, modbuild, modules, patchedqemu, places
from unikvm.lab.kernellog import KernelLog, leaks
from unikvm.lab.machine import L1, L1Config, L1Died, L1Wedged


# Time limits are made for a distribution's kernel; one full of checkers takes this much longer.
SLOWER_BY = {kernels.DEBUG: 5}


class SharedL1:
    """An L1 with a half loaded, as a fixture hands it out."""

    def __init__(self, machine: L1, half: modules.LoadedHalf,
                 tree: modules.TreeModules | None, slower_by: int = 1) -> None:
        self.machine, self.half, self.tree = machine, half, tree
        self.slower_by = slower_by
        self._log = KernelLog(machine)
        self.trouble()

    @property
    def finds_leaks(self) -> bool:
        """Whether its kernel can tell what was lost (kmemleak)."""
        return self.slower_by > 1

    def run(self, command, timeout=120.0, **options):
        """See L1.run."""
        return self.machine.run(command, timeout=timeout * self.slower_by, **options)

    def check(self, command, **options) -> str:
        """Run a command that must succeed; returns its standard output."""
        result = self.run(command, **options)
        assert result.status == 0, (
            f"{command!r} in L1: status {result.status}\n{result.stdout.decode()}"
            f"{result.stderr.decode()}")
        return result.stdout.decode()

    def reload(self, parameters: Mapping[str, str] | None = None) -> modules.LoadedHalf:
        """Take the modules out and load them again, with parameters if given."""
        self.half = modules.load(self.machine, self.half.half, self.tree, parameters)
        return self.half

    def trouble(self) -> str:
        """Warnings in the kernel log since the last call; empty when there are none."""
        return self._log.trouble()


def tree_or_none(half: str, kernel: kernels.Kernel) -> modules.TreeModules | None:
    """The modules for a kernel, for the tree half."""
    return modbuild.for_kernel(places.build_dir(), kernel.version) if half == "tree" else None


def l1_kernel(half: str, wanted: str | None) -> kernels.Kernel:
    """As asked; else the one the built modules are for, or the newest where there are none."""
    if wanted is not None:
        return kernels.resolve(wanted, kernels.DEFAULT_L1)
    try:
        return kernels.by_version(modules.tree_modules(places.build_dir()).kernel)
    except kernels.LabError:
        if half == "tree":
            raise
        return kernels.newest(kernels.DEFAULT_L1)


class Labs:
    """Hands out shared machines; at most one runs at a time."""

    def __init__(self, scratch: Path, kernel: str | None = None) -> None:
        self.scratch, self.kernel = scratch, kernel
        self.force_stock = False
        self.booted = 0
        self._key: tuple = ()
        self._shared: SharedL1 | None = None

    def get(self, half: str, cpus: int = 1, memory: int = 2048,
            parameters: Mapping[str, str] | None = None,
            kernel_args: tuple[str, ...] = (), kernel: str | None = None) -> SharedL1:
        """The machine with these options, booted if it is not the one at hand.

        kernel: PATH, VERSION or series; else what the session was told, or the build's.
        Several CPUs are emulated well by our own QEMU only, see docs/kernels.md.
        """
        half = "stock" if self.force_stock else half
        wanted = dict(parameters or {})
        if half == "stock":
            wanted = {}
        kernel = kernel or self.kernel
        key = (half, cpus, memory, kernel, tuple(sorted(wanted.items())), kernel_args)
        if self._shared is not None and self._key == key and self._alive():
            return self._shared
        self.close()
        found, build = l1_kernel(half, kernel), places.build_dir()
        tree = tree_or_none(half, found)
        config = L1Config(
            vmlinuz=found.vmlinuz, cpus=cpus, memory=memory, share_rw=(self.scratch,),
            qemu=patchedqemu.binary(print) if cpus > 1 else None, kernel_args=kernel_args,
            share=tuple(filter(None, (places.cache_dir(), build))))
        machine = L1(config)
        self.booted += 1
        try:
            loaded = modules.load(machine, half, tree, wanted)
            self._shared = SharedL1(machine, loaded, tree, SLOWER_BY.get(kernel, 1))
        except BaseException:
            machine.close(clean=False)
            raise
        self._key = key
        return self._shared

    def _alive(self) -> bool:
        try:
            return self._shared is not None and self._shared.run(["true"], timeout=30).status == 0
        except (L1Died, L1Wedged, TimeoutError):
            return False

    def close(self) -> None:
        """End the machine at hand; a kernel that can tell must know of no leak by the modules."""
        shared, self._shared, self._key = self._shared, None, ()
        if shared is None:
            return
        try:
            found = leaks(shared.machine) if shared.finds_leaks else ""
        except (L1Died, L1Wedged, TimeoutError):
            found = ""          # told by the test it happened in
        finally:
            shared.machine.close()
        assert not found, f"leaked in a shared machine:\n{found}"
