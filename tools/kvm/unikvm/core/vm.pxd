# SPDX-License-Identifier: GPL-2.0-only
"""The KVM ioctls: system, VM and vCPU file descriptors."""
from libc.stdint cimport uint32_t, uint64_t

from unikvm.abi.kvm cimport kvm_run


cdef class Kvm:
    cdef readonly int fd
    cdef readonly str path
    cpdef close(self)


cdef class Vm:
    cdef readonly Kvm kvm
    cdef readonly int fd
    # Both callable from any thread without the GIL; 0 or -errno.
    cdef int irq_line_nogil(self, uint32_t gsi, int level) noexcept nogil
    cdef int signal_msi_nogil(self, uint64_t address, uint32_t data) noexcept nogil
    cpdef close(self)


cdef class Vcpu:
    cdef readonly Vm vm
    cdef readonly int id
    cdef readonly int fd
    cdef kvm_run *run
    cdef size_t run_size
    cpdef close(self)
    # KVM_RUN: 0 or -errno
    cdef int run_nogil(self) noexcept nogil
