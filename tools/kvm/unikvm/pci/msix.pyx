# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""MSI-X table and pending bits (PCI local bus 3.0 6.8.2).

The table is written by vCPU threads and read by whoever interrupts; one mutex orders
them, so that a message is never sent with half an address and none is lost between
masking and unmasking.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from unikvm.core.bus cimport Device
from unikvm.core.irq cimport Msi
from unikvm.core.pthread cimport (pthread_mutex_destroy, pthread_mutex_init,
                                  pthread_mutex_lock, pthread_mutex_unlock)

cdef enum:
    ENTRY_DATA = 8
    ENTRY_CONTROL = 12
    CONTROL_MASK = 1

WINDOW = MSIX_WINDOW
PBA_OFFSET = MSIX_PBA
MAX_VECTORS = MSIX_VECTORS


cdef class MsixTable(Device):
    """The bus device of one window: table at 0, pending bits at PBA_OFFSET."""

    def __cinit__(self, Msi msi not None, unsigned int vectors):
        if not 1 <= vectors <= MSIX_VECTORS:
            raise ValueError(f"{vectors} MSI-X vectors")
        pthread_mutex_init(&self._mutex, NULL)
        self._msi = msi
        self.vectors = vectors
        self.reset()

    def __dealloc__(self):
        pthread_mutex_destroy(&self._mutex)

    def reset(self):
        """All vectors masked, nothing pending, function disabled."""
        cdef unsigned int vector
        with nogil:
            pthread_mutex_lock(&self._mutex)
            memset(self._table, 0, sizeof(self._table))
            for vector in range(self.vectors):
                self._table[MSIX_ENTRY * vector + ENTRY_CONTROL] = CONTROL_MASK
            self._pending = 0
            self.enabled = self._masked = False
            pthread_mutex_unlock(&self._mutex)

    def set_control(self, bint enabled, bint masked):
        """The capability's enable and function mask bits changed."""
        with nogil:
            pthread_mutex_lock(&self._mutex)
            self.enabled, self._masked = enabled, masked
            self._send_pending()
            pthread_mutex_unlock(&self._mutex)

    def signal(self, unsigned int vector):
        """notify() for Python."""
        with nogil:
            self.notify(vector)

    @property
    def pending(self):
        """Pending bits, bit n for vector n."""
        return self._pending

    cdef void notify(self, unsigned int vector) noexcept nogil:
        if vector >= self.vectors:
            return
        pthread_mutex_lock(&self._mutex)
        if self.enabled:
            if self._is_masked(vector):
                self._pending |= <uint64_t>1 << vector
            else:
                self._send(vector)
        pthread_mutex_unlock(&self._mutex)

    cdef bint _is_masked(self, unsigned int vector) noexcept nogil:
        return (self._masked
                or self._table[MSIX_ENTRY * vector + ENTRY_CONTROL] & CONTROL_MASK)

    cdef void _send(self, unsigned int vector) noexcept nogil:
        cdef uint64_t address
        cdef uint32_t data
        memcpy(&address, &self._table[MSIX_ENTRY * vector], sizeof(address))
        memcpy(&data, &self._table[MSIX_ENTRY * vector + ENTRY_DATA], sizeof(data))
        # KVM refuses an address that is none; that is the guest's loss.
        self._msi.send(address, data)

    cdef void _send_pending(self) noexcept nogil:
        cdef unsigned int vector
        if not self.enabled or not self._pending:
            return
        for vector in range(self.vectors):
            if self._pending >> vector & 1 and not self._is_masked(vector):
                self._pending &= ~(<uint64_t>1 << vector)
                self._send(vector)

    cdef uint64_t io_read(self, uint64_t offset, unsigned int width) noexcept nogil:
        cdef uint64_t value = 0
        pthread_mutex_lock(&self._mutex)
        if offset + width <= MSIX_ENTRY * self.vectors:
            memcpy(&value, &self._table[offset], width)
        elif offset >= MSIX_PBA and offset + width <= MSIX_PBA + 8:
            value = self._pending >> (8 * (offset - MSIX_PBA))
        pthread_mutex_unlock(&self._mutex)
        return value

    cdef void io_write(self, uint64_t offset, unsigned int width,
                       uint64_t value) noexcept nogil:
        pthread_mutex_lock(&self._mutex)
        if offset + width <= MSIX_ENTRY * self.vectors:
            memcpy(&self._table[offset], &value, width)
            self._send_pending()
        pthread_mutex_unlock(&self._mutex)
