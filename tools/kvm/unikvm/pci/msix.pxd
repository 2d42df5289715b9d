# SPDX-License-Identifier: GPL-2.0-only
"""MSI-X table and pending bits (PCI local bus 3.0 6.8.2)."""
from libc.stdint cimport uint8_t, uint16_t, uint64_t

from unikvm.core.bus cimport Device
from unikvm.core.irq cimport Msi
from unikvm.core.pthread cimport pthread_mutex_t


cdef enum:
    MSIX_VECTORS = 64
    MSIX_ENTRY = 16
    MSIX_TABLE_BYTES = 1024
    MSIX_PBA = 0x800
    MSIX_WINDOW = 0x1000


cdef class MsixTable(Device):
    cdef readonly unsigned int vectors
    cdef readonly bint enabled
    cdef bint _masked
    cdef Msi _msi
    cdef uint64_t _pending
    cdef uint8_t _table[MSIX_TABLE_BYTES]
    cdef pthread_mutex_t _mutex

    # Send a vector's message, or note it as pending while masked.
    cdef void notify(self, unsigned int vector) noexcept nogil
    cdef bint _is_masked(self, unsigned int vector) noexcept nogil
    cdef void _send(self, unsigned int vector) noexcept nogil
    cdef void _send_pending(self) noexcept nogil
