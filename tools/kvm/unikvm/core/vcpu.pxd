# SPDX-License-Identifier: GPL-2.0-only
"""The thread that runs one vCPU."""
from libc.stdint cimport uint64_t

from unikvm.core.bus cimport Bus
from unikvm.core.vm cimport Vcpu

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t

cdef enum:
    EXIT_REASONS = 64


cdef class VcpuThread:
    cdef readonly Vcpu vcpu
    cdef readonly str end
    cdef readonly str detail
    cdef readonly object error
    cdef readonly dict regs
    cdef readonly dict sregs
    cdef Bus _pio
    cdef Bus _mmio
    cdef object _on_end
    cdef object _thread
    cdef object _mutex
    cdef pthread_t _id
    cdef bint _alive
    cdef int _stop
    cdef int _errno
    cdef unsigned long long _exits[EXIT_REASONS]
    cdef int _loop(self) noexcept nogil
    cdef int _handle(self) noexcept nogil
    cdef int _port_io(self) noexcept nogil
