# SPDX-License-Identifier: GPL-2.0-only
"""Interrupts as devices see them: a line, or a message."""
from libc.stdint cimport uint32_t, uint64_t

from unikvm.core.pthread cimport pthread_mutex_t
from unikvm.core.vm cimport Vm


cdef class IrqLine:
    """A line that leads nowhere but remembers its level (tests, unwired pins)."""
    cdef int _level
    cdef pthread_mutex_t _mutex
    # Level-triggered devices drive(1) and drive(0); an edge is one after the
    # other.  Callable from any thread.
    cdef void drive(self, int level) noexcept nogil
    # What subclasses fill in: called under the mutex, only on a change.
    cdef void changed(self, int level) noexcept nogil


cdef class GsiLine(IrqLine):
    cdef Vm _vm
    cdef readonly uint32_t gsi


cdef class SharedLine:
    cdef IrqLine _line
    cdef int _raised
    cdef pthread_mutex_t _mutex
    cdef void count(self, int change) noexcept nogil


cdef class SharedSource(IrqLine):
    cdef SharedLine _shared


cdef class Msi:
    """Message-signalled interrupts; this class only records them."""
    cdef readonly list sent
    cdef int send(self, uint64_t address, uint32_t data) noexcept nogil


cdef class VmMsi(Msi):
    cdef Vm _vm
