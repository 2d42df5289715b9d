# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""Interrupt lines and messages, free of any device or VM type."""
from libc.stdint cimport uint32_t, uint64_t

from unikvm.core.pthread cimport (pthread_mutex_destroy, pthread_mutex_init,
                                  pthread_mutex_lock, pthread_mutex_unlock)


cdef class IrqLine:
    """A line that remembers its level; subclasses lead somewhere.

    vCPU threads and the event loop may drive one line at once; the mutex makes
    what changed() last reported the level the line last got.
    """

    def __cinit__(self, *args):
        pthread_mutex_init(&self._mutex, NULL)

    def __dealloc__(self):
        pthread_mutex_destroy(&self._mutex)

    cdef void changed(self, int level) noexcept nogil:
        pass

    cdef void drive(self, int level) noexcept nogil:
        pthread_mutex_lock(&self._mutex)
        if self._level != level:
            self._level = level
            self.changed(level)
        pthread_mutex_unlock(&self._mutex)

    def set(self, bint level):
        """Raise (True) or lower the line; setting the same level is nothing."""
        with nogil:
            self.drive(level)

    def pulse(self):
        """An edge: up and down."""
        with nogil:
            self.drive(1)
            self.drive(0)

    @property
    def level(self):
        return bool(self._level)


cdef class GsiLine(IrqLine):
    """A pin of the in-kernel interrupt chips, by its global number."""

    def __cinit__(self, Vm vm, uint32_t gsi):
        self._vm = vm
        self.gsi = gsi

    cdef void changed(self, int level) noexcept nogil:
        self._vm.irq_line_nogil(self.gsi, level)


cdef class SharedLine:
    """Wired-or of several sources on one line."""

    def __cinit__(self, IrqLine line):
        self._line = line
        pthread_mutex_init(&self._mutex, NULL)

    def __dealloc__(self):
        pthread_mutex_destroy(&self._mutex)

    def source(self):
        """A new source; the line is up while any source is."""
        return SharedSource(self)

    cdef void count(self, int change) noexcept nogil:
        pthread_mutex_lock(&self._mutex)
        self._raised += change
        self._line.drive(self._raised > 0)
        pthread_mutex_unlock(&self._mutex)


cdef class SharedSource(IrqLine):
    def __cinit__(self, SharedLine shared):
        self._shared = shared

    cdef void changed(self, int level) noexcept nogil:
        self._shared.count(1 if level else -1)


cdef class Msi:
    """Records what is sent as (address, data)."""

    def __cinit__(self, *args):
        self.sent = []

    cdef int send(self, uint64_t address, uint32_t data) noexcept nogil:
        with gil:
            self.sent.append((address, data))
        return 0

    def signal(self, uint64_t address, uint32_t data):
        """Send one message.  False if KVM refused it: the address may be the
        guest's nonsense, which is no error of ours."""
        cdef int result
        with nogil:
            result = self.send(address, data)
        return result >= 0


cdef class VmMsi(Msi):
    """Messages into a VM's local APICs."""

    def __cinit__(self, Vm vm):
        self._vm = vm

    cdef int send(self, uint64_t address, uint32_t data) noexcept nogil:
        return self._vm.signal_msi_nogil(address, data)
