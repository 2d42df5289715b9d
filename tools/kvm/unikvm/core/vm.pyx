# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""The KVM ioctls, one thin method each.

An ioctl that fails raises OSError with its errno and its name; what a user can
put right (no /dev/kvm, no permission) raises UserError instead.
"""
import errno as _errno
import os
from typing import NamedTuple

from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close

from unikvm.abi.kvm cimport *
from unikvm.core.errors import UserError

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int fd, unsigned long request, ...)

cdef enum:
    # More than any processor enumerates; KVM answers E2BIG if ever not.
    CPUID_ENTRIES = 256
    MSR_ENTRIES = 1024


class CpuidEntry(NamedTuple):
    """One CPUID leaf; index matters if flags has SIGNIFCANT_INDEX (bit 0)."""
    function: int
    index: int
    flags: int
    eax: int
    ebx: int
    ecx: int
    edx: int


cdef long _check(long result, str name) except -1:
    if result < 0:
        raise OSError(errno, f"{name}: {os.strerror(errno)}")
    return result


cdef class Kvm:
    """/dev/kvm, or another path to it."""

    def __cinit__(self, str path="/dev/kvm"):
        self.fd = -1
        self.path = path
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(_open_advice(path, error.errno)) from None
        version = ioctl(self.fd, KVM_GET_API_VERSION, 0)
        if version != KVM_API_VERSION:
            raise UserError(f"{path} is no KVM device with API version "
                            f"{KVM_API_VERSION}: load the kvm modules")

    def __dealloc__(self):
        self.close()

    cpdef close(self):
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1

    def check(self, int capability):
        """KVM_CHECK_EXTENSION: 0 if missing, else its value."""
        return max(ioctl(self.fd, KVM_CHECK_EXTENSION, <long>capability), 0)

    def vcpu_mmap_size(self):
        return _check(ioctl(self.fd, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE")

    def supported_cpuid(self):
        """KVM_GET_SUPPORTED_CPUID as a list of CpuidEntry."""
        cdef kvm_cpuid2 *table = _cpuid_table()
        cdef uint32_t i
        cdef kvm_cpuid_entry2 *e
        try:
            table.nent = CPUID_ENTRIES
            _check(ioctl(self.fd, KVM_GET_SUPPORTED_CPUID, table), "KVM_GET_SUPPORTED_CPUID")
            entries = []
            for i in range(min(table.nent, <uint32_t>CPUID_ENTRIES)):
                e = &table.entries[i]
                entries.append(CpuidEntry(e.function, e.index, e.flags,
                                          e.eax, e.ebx, e.ecx, e.edx))
            return entries
        finally:
            free(table)

    def msr_index_list(self):
        """KVM_GET_MSR_INDEX_LIST: MSR numbers to save and restore."""
        cdef kvm_msr_list *table = <kvm_msr_list *>calloc(
            1, sizeof(kvm_msr_list) + MSR_ENTRIES * sizeof(uint32_t))
        if table == NULL:
            raise MemoryError
        try:
            table.nmsrs = MSR_ENTRIES
            _check(ioctl(self.fd, KVM_GET_MSR_INDEX_LIST, table), "KVM_GET_MSR_INDEX_LIST")
            return [table.indices[i] for i in range(min(table.nmsrs, <uint32_t>MSR_ENTRIES))]
        finally:
            free(table)

    def create_vm(self):
        return Vm(self)


def _open_advice(path, error):
    if error == _errno.ENOENT:
        return f"{path} does not exist: load the kvm modules, or use --on lab"
    if error in (_errno.EACCES, _errno.EPERM):
        return f"no permission to open {path}: join the group kvm, or use --on lab"
    if error in (_errno.ENODEV, _errno.ENXIO):
        return f"{path} has no driver behind it: load kvm-amd or kvm-intel, or use --on lab"
    return f"cannot open {path}: {os.strerror(error)}"


cdef kvm_cpuid2 *_cpuid_table() except NULL:
    cdef kvm_cpuid2 *table = <kvm_cpuid2 *>calloc(
        1, sizeof(kvm_cpuid2) + CPUID_ENTRIES * sizeof(kvm_cpuid_entry2))
    if table == NULL:
        raise MemoryError
    return table


cdef class Vm:
    """A virtual machine: memory slots, interrupt chips, event descriptors."""

    def __cinit__(self, Kvm kvm):
        cdef int attempt
        self.fd = -1
        self.kvm = kvm
        # Creation flushes and can be interrupted by any signal.
        for attempt in range(5):
            self.fd = ioctl(kvm.fd, KVM_CREATE_VM, 0)
            if self.fd >= 0 or errno != _errno.EINTR:
                break
        _check(self.fd, "KVM_CREATE_VM")

    def __dealloc__(self):
        self.close()

    cpdef close(self):
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1

    def check(self, int capability):
        """KVM_CHECK_EXTENSION for this VM, or for the system where KVM has it
        only there."""
        result = ioctl(self.fd, KVM_CHECK_EXTENSION, <long>capability)
        return result if result >= 0 else self.kvm.check(capability)

    def set_memory(self, uint32_t slot, uint64_t gpa, uint64_t size, uint64_t hva,
                   uint32_t flags=0):
        """KVM_SET_USER_MEMORY_REGION; size 0 deletes the slot."""
        cdef kvm_userspace_memory_region region
        region.slot, region.flags, region.guest_phys_addr = slot, flags, gpa
        region.memory_size, region.userspace_addr = size, hva
        _check(ioctl(self.fd, KVM_SET_USER_MEMORY_REGION, &region),
               "KVM_SET_USER_MEMORY_REGION")

    def set_tss_addr(self, uint64_t gpa):
        _check(ioctl(self.fd, KVM_SET_TSS_ADDR, gpa), "KVM_SET_TSS_ADDR")

    def set_identity_map_addr(self, uint64_t gpa):
        _check(ioctl(self.fd, KVM_SET_IDENTITY_MAP_ADDR, &gpa), "KVM_SET_IDENTITY_MAP_ADDR")

    def create_irqchip(self):
        _check(ioctl(self.fd, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP")

    def create_pit2(self, uint32_t flags=0):
        cdef kvm_pit_config config
        memset(&config, 0, sizeof(config))
        config.flags = flags
        _check(ioctl(self.fd, KVM_CREATE_PIT2, &config), "KVM_CREATE_PIT2")

    cdef int irq_line_nogil(self, uint32_t gsi, int level) noexcept nogil:
        cdef kvm_irq_level line
        line.irq, line.level = gsi, level
        return 0 if ioctl(self.fd, KVM_IRQ_LINE, &line) >= 0 else -errno

    def irq_line(self, uint32_t gsi, bint level):
        """KVM_IRQ_LINE: raise or lower a line of the interrupt chips."""
        _raise(self.irq_line_nogil(gsi, level), "KVM_IRQ_LINE")

    cdef int signal_msi_nogil(self, uint64_t address, uint32_t data) noexcept nogil:
        cdef kvm_msi msi
        memset(&msi, 0, sizeof(msi))
        msi.address_lo, msi.address_hi = <uint32_t>address, <uint32_t>(address >> 32)
        msi.data = data
        return 0 if ioctl(self.fd, KVM_SIGNAL_MSI, &msi) >= 0 else -errno

    def signal_msi(self, uint64_t address, uint32_t data):
        _raise(self.signal_msi_nogil(address, data), "KVM_SIGNAL_MSI")

    def irqfd(self, int fd, uint32_t gsi, *, resamplefd=None, bint assign=True):
        """KVM_IRQFD: a write to fd pulses gsi; with resamplefd it is level."""
        cdef kvm_irqfd request
        memset(&request, 0, sizeof(request))
        request.fd, request.gsi = fd, gsi
        if resamplefd is not None:
            request.flags |= KVM_IRQFD_FLAG_RESAMPLE
            request.resamplefd = <uint32_t><int>resamplefd
        if not assign:
            request.flags |= KVM_IRQFD_FLAG_DEASSIGN
        _check(ioctl(self.fd, KVM_IRQFD, &request), "KVM_IRQFD")

    def ioeventfd(self, uint64_t address, uint32_t width, int fd, *, match=None,
                  bint pio=False, bint assign=True):
        """KVM_IOEVENTFD: a guest write at address signals fd without an exit.

        width: bytes, 0 for any; match: only this value (needs a width).
        """
        cdef kvm_ioeventfd request
        memset(&request, 0, sizeof(request))
        request.addr, request.len, request.fd = address, width, fd
        if match is not None:
            request.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH
            request.datamatch = match
        if pio:
            request.flags |= KVM_IOEVENTFD_FLAG_PIO
        if not assign:
            request.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN
        _check(ioctl(self.fd, KVM_IOEVENTFD, &request), "KVM_IOEVENTFD")

    def set_gsi_routing(self, routes):
        """KVM_SET_GSI_ROUTING: replaces all routes.

        routes: (gsi, ("irqchip", chip, pin)) or (gsi, ("msi", address, data)).
        """
        cdef kvm_irq_routing *table
        cdef kvm_irq_routing_entry *entry
        routes = list(routes)
        table = <kvm_irq_routing *>calloc(
            1, sizeof(kvm_irq_routing) + len(routes) * sizeof(kvm_irq_routing_entry))
        if table == NULL:
            raise MemoryError
        try:
            table.nr = len(routes)
            for i, (gsi, (kind, first, second)) in enumerate(routes):
                entry = &table.entries[i]
                entry.gsi = gsi
                if kind == "irqchip":
                    entry.type = KVM_IRQ_ROUTING_IRQCHIP
                    entry.u.irqchip.irqchip, entry.u.irqchip.pin = first, second
                elif kind == "msi":
                    entry.type = KVM_IRQ_ROUTING_MSI
                    entry.u.msi.address_lo = first & 0xffffffff
                    entry.u.msi.address_hi = first >> 32
                    entry.u.msi.data = second
                else:
                    raise ValueError(f"route of kind {kind!r}")
            _check(ioctl(self.fd, KVM_SET_GSI_ROUTING, table), "KVM_SET_GSI_ROUTING")
        finally:
            free(table)

    def create_vcpu(self, int id):
        return Vcpu(self, id)


cdef int _raise(int result, str name) except -1:
    if result < 0:
        raise OSError(-result, f"{name}: {os.strerror(-result)}")
    return 0


cdef class Vcpu:
    """One virtual processor.  Register methods speak dicts in KVM's own field
    names and must not race with the thread that runs the vCPU."""

    def __cinit__(self, Vm vm, int id):
        self.fd = -1
        self.vm = vm
        self.id = id
        self.fd = _check(ioctl(vm.fd, KVM_CREATE_VCPU, <long>id), "KVM_CREATE_VCPU")
        self.run_size = vm.kvm.vcpu_mmap_size()
        if self.run_size < sizeof(kvm_run):
            raise OSError(_errno.EINVAL, "KVM_GET_VCPU_MMAP_SIZE: smaller than kvm_run")
        cdef void *page = mmap(NULL, self.run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                               self.fd, 0)
        if page == MAP_FAILED:
            raise OSError(errno, f"mmap of vCPU {id}: {os.strerror(errno)}")
        self.run = <kvm_run *>page

    def __dealloc__(self):
        self.close()

    cpdef close(self):
        if self.run != NULL:
            munmap(self.run, self.run_size)
            self.run = NULL
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1

    cdef int run_nogil(self) noexcept nogil:
        return 0 if ioctl(self.fd, KVM_RUN, 0) >= 0 else -errno

    @property
    def exit_reason(self):
        """The last exit's reason (KVM_EXIT_*)."""
        return self.run.exit_reason

    def run_once(self):
        """One KVM_RUN, for tests: the exit reason; OSError (EINTR too)."""
        cdef int result
        with nogil:
            result = self.run_nogil()
        _raise(result, "KVM_RUN")
        return self.run.exit_reason

    def get_regs(self):
        cdef kvm_regs regs
        _check(ioctl(self.fd, KVM_GET_REGS, &regs), "KVM_GET_REGS")
        return regs

    def set_regs(self, values):
        """Set the named registers, keep the others."""
        regs = self.get_regs()
        _update(regs, values, "register")
        cdef kvm_regs out = regs
        _check(ioctl(self.fd, KVM_SET_REGS, &out), "KVM_SET_REGS")

    def get_sregs(self):
        """Segments {name: {base, limit, ...}}, gdt, idt {base, limit}, crs,
        efer, apic_base."""
        cdef kvm_sregs s
        _check(ioctl(self.fd, KVM_GET_SREGS, &s), "KVM_GET_SREGS")
        values = {"cs": s.cs, "ds": s.ds, "es": s.es, "fs": s.fs, "gs": s.gs,
                  "ss": s.ss, "tr": s.tr, "ldt": s.ldt, "gdt": s.gdt, "idt": s.idt,
                  "cr0": s.cr0, "cr2": s.cr2, "cr3": s.cr3, "cr4": s.cr4,
                  "cr8": s.cr8, "efer": s.efer, "apic_base": s.apic_base}
        return values

    def set_sregs(self, values):
        """Set the named fields, keep the others (within a segment too)."""
        cdef kvm_sregs s
        current = self.get_sregs()
        for name, value in values.items():
            if name not in current:
                raise KeyError(f"no special register {name}")
            if isinstance(value, dict):
                _update(current[name], value, name)
            else:
                current[name] = value
        # The pending-vector bitmap is KVM's to give, and to be given back.
        _check(ioctl(self.fd, KVM_GET_SREGS, &s), "KVM_GET_SREGS")
        s.cs, s.ds, s.es = current["cs"], current["ds"], current["es"]
        s.fs, s.gs, s.ss = current["fs"], current["gs"], current["ss"]
        s.tr, s.ldt = current["tr"], current["ldt"]
        s.gdt, s.idt = current["gdt"], current["idt"]
        s.cr0, s.cr2, s.cr3 = current["cr0"], current["cr2"], current["cr3"]
        s.cr4, s.cr8, s.efer = current["cr4"], current["cr8"], current["efer"]
        s.apic_base = current["apic_base"]
        _check(ioctl(self.fd, KVM_SET_SREGS, &s), "KVM_SET_SREGS")

    def set_cpuid(self, entries):
        """KVM_SET_CPUID2 with an iterable of CpuidEntry."""
        cdef kvm_cpuid2 *table = _cpuid_table()
        cdef kvm_cpuid_entry2 *e
        try:
            for entry in entries:
                if table.nent == CPUID_ENTRIES:
                    raise ValueError(f"more than {CPUID_ENTRIES} CPUID entries")
                e = &table.entries[table.nent]
                e.function, e.index, e.flags = entry.function, entry.index, entry.flags
                e.eax, e.ebx, e.ecx, e.edx = entry.eax, entry.ebx, entry.ecx, entry.edx
                table.nent += 1
            _check(ioctl(self.fd, KVM_SET_CPUID2, table), "KVM_SET_CPUID2")
        finally:
            free(table)

    def set_msrs(self, values):
        """KVM_SET_MSRS from {index: value}; OSError naming the refused one."""
        cdef kvm_msrs *table = _msr_table(len(values))
        try:
            indices = list(values)
            for i, index in enumerate(indices):
                table.entries[i].index, table.entries[i].data = index, values[index]
            done = _check(ioctl(self.fd, KVM_SET_MSRS, table), "KVM_SET_MSRS")
            if done < len(indices):
                raise OSError(_errno.EINVAL, f"KVM_SET_MSRS: MSR {indices[done]:#x} refused")
        finally:
            free(table)

    def get_msrs(self, indices):
        """KVM_GET_MSRS: {index: value}; OSError naming the refused one."""
        indices = list(indices)
        cdef kvm_msrs *table = _msr_table(len(indices))
        try:
            for i, index in enumerate(indices):
                table.entries[i].index = index
            done = _check(ioctl(self.fd, KVM_GET_MSRS, table), "KVM_GET_MSRS")
            if done < len(indices):
                raise OSError(_errno.EINVAL, f"KVM_GET_MSRS: MSR {indices[done]:#x} refused")
            return {index: table.entries[i].data for i, index in enumerate(indices)}
        finally:
            free(table)

    def reset_fpu(self):
        """The x87 and SSE control words of a processor after INIT (SDM vol. 3,
        table 9-1), registers zero."""
        cdef kvm_fpu fpu
        memset(&fpu, 0, sizeof(fpu))
        fpu.fcw, fpu.mxcsr = 0x37f, 0x1f80
        _check(ioctl(self.fd, KVM_SET_FPU, &fpu), "KVM_SET_FPU")

    def get_lapic(self):
        """The local APIC's register page, 1024 bytes."""
        cdef kvm_lapic_state state
        _check(ioctl(self.fd, KVM_GET_LAPIC, &state), "KVM_GET_LAPIC")
        return (<char *>state.regs)[:sizeof(state)]

    def set_lapic(self, bytes page):
        cdef kvm_lapic_state state
        if len(page) != sizeof(state):
            raise ValueError(f"local APIC state of {len(page)} bytes")
        memcpy(&state, <const char *>page, sizeof(state))
        _check(ioctl(self.fd, KVM_SET_LAPIC, &state), "KVM_SET_LAPIC")

    def get_mp_state(self):
        cdef kvm_mp_state state
        _check(ioctl(self.fd, KVM_GET_MP_STATE, &state), "KVM_GET_MP_STATE")
        return state.mp_state

    def set_mp_state(self, uint32_t value):
        cdef kvm_mp_state state
        state.mp_state = value
        _check(ioctl(self.fd, KVM_SET_MP_STATE, &state), "KVM_SET_MP_STATE")


def _update(target, values, what):
    for name, value in values.items():
        if name not in target:
            raise KeyError(f"{what} has no field {name}")
        target[name] = value


cdef kvm_msrs *_msr_table(size_t count) except NULL:
    cdef kvm_msrs *table
    if count > MSR_ENTRIES:
        raise ValueError(f"more than {MSR_ENTRIES} MSRs")
    table = <kvm_msrs *>calloc(1, sizeof(kvm_msrs) + count * sizeof(kvm_msr_entry))
    if table == NULL:
        raise MemoryError
    table.nmsrs = count
    return table
