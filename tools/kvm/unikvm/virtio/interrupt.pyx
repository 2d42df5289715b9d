# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""From a queue to an interrupt: MSI-X vectors, or ISR status and INTx.

The bus device is the ISR status window (virtio 1.2 4.1.4.5): reading clears it and
lowers the line.
"""
from libc.stdint cimport uint64_t

from unikvm.core.bus cimport Device
from unikvm.core.irq cimport IrqLine
from unikvm.core.pthread cimport (pthread_mutex_destroy, pthread_mutex_init,
                                  pthread_mutex_lock, pthread_mutex_unlock)
from unikvm.pci.msix cimport MsixTable

cdef enum:
    ISR_QUEUE = 1
    ISR_CONFIG = 2
    VECTOR_NONE = 0xffff

NO_VECTOR = VECTOR_NONE


cdef class VirtioInterrupt(Device):
    """Interrupts of one device with at most MAX_QUEUES queues."""

    def __cinit__(self, IrqLine line not None, MsixTable msix not None):
        pthread_mutex_init(&self._mutex, NULL)
        self._line = line
        self._msix = msix
        self._line_enabled = True
        self.reset()

    def __dealloc__(self):
        pthread_mutex_destroy(&self._mutex)

    def reset(self):
        """Device reset: no vectors, nothing raised (MSI-X itself stays as it is)."""
        cdef int index
        with nogil:
            pthread_mutex_lock(&self._mutex)
            self._config_vector = VECTOR_NONE
            for index in range(MAX_QUEUES):
                self._queue_vectors[index] = VECTOR_NONE
            self._isr = 0
            self._drive()
            pthread_mutex_unlock(&self._mutex)

    def connect(self, IrqLine line not None):
        """Lead the line elsewhere; before the guest runs."""
        self._line = line

    @property
    def config_vector(self):
        """Vector of configuration changes, NO_VECTOR for none."""
        return self._config_vector

    @config_vector.setter
    def config_vector(self, unsigned int vector):
        self._config_vector = self._valid(vector)

    def queue_vector(self, unsigned int index):
        """Vector of queue `index`."""
        return self._queue_vectors[index] if index < MAX_QUEUES else NO_VECTOR

    def set_queue_vector(self, unsigned int index, unsigned int vector):
        """4.1.5.1.2.1: a vector that does not exist reads back as NO_VECTOR."""
        if index < MAX_QUEUES:
            self._queue_vectors[index] = self._valid(vector)

    def _valid(self, unsigned int vector):
        return vector if vector < self._msix.vectors else NO_VECTOR

    def set_line_enabled(self, bint enabled):
        """The command register's interrupt disable bit changed."""
        with nogil:
            pthread_mutex_lock(&self._mutex)
            self._line_enabled = enabled
            self._drive()
            pthread_mutex_unlock(&self._mutex)

    def signal_queue(self, unsigned int index):
        """Tell the driver that queue `index` has used buffers."""
        with nogil:
            self.queue(index)

    def signal_config(self):
        """Tell the driver that configuration or status changed."""
        with nogil:
            if self._msix.enabled:
                self._msix.notify(self._config_vector)
            else:
                self._raise_isr(ISR_CONFIG)

    cdef void queue(self, unsigned int index) noexcept nogil:
        if self._msix.enabled:
            self._msix.notify(self._queue_vectors[index])
        else:
            self._raise_isr(ISR_QUEUE)

    cdef void _raise_isr(self, unsigned int bits) noexcept nogil:
        pthread_mutex_lock(&self._mutex)
        self._isr |= bits
        self._drive()
        pthread_mutex_unlock(&self._mutex)

    cdef void _drive(self) noexcept nogil:
        self._line.drive(self._isr != 0 and self._line_enabled)

    @property
    def isr(self):
        """ISR status, without clearing it."""
        return self._isr

    cdef uint64_t io_read(self, uint64_t offset, unsigned int width) noexcept nogil:
        cdef unsigned int value
        if offset:
            return 0
        pthread_mutex_lock(&self._mutex)
        value, self._isr = self._isr, 0
        self._drive()
        pthread_mutex_unlock(&self._mutex)
        return value
