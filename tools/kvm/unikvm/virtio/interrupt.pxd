# SPDX-License-Identifier: GPL-2.0-only
"""From a queue to an interrupt."""
from libc.stdint cimport uint16_t

from unikvm.core.bus cimport Device
from unikvm.core.irq cimport IrqLine
from unikvm.core.pthread cimport pthread_mutex_t
from unikvm.pci.msix cimport MsixTable


cdef enum:
    MAX_QUEUES = 16


cdef class VirtioInterrupt(Device):
    cdef IrqLine _line
    cdef MsixTable _msix
    cdef unsigned int _isr
    cdef bint _line_enabled
    cdef uint16_t _config_vector
    cdef uint16_t _queue_vectors[MAX_QUEUES]
    cdef pthread_mutex_t _mutex

    # From any thread, without the GIL.
    cdef void queue(self, unsigned int index) noexcept nogil
    cdef void _raise_isr(self, unsigned int bits) noexcept nogil
    cdef void _drive(self) noexcept nogil
