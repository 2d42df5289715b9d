# SPDX-License-Identifier: GPL-2.0-only
"""Port and memory buses: from an address to a device."""
from libc.stdint cimport uint8_t, uint16_t, uint64_t


cdef enum:
    MAX_WINDOWS = 256
    PIO_PORTS = 65536


cdef class Device:
    """A device without the GIL.  Offsets are relative to its window; width is
    1, 2, 4 or 8 bytes and the access never leaves the window."""
    cdef uint64_t io_read(self, uint64_t offset, unsigned int width) noexcept nogil
    cdef void io_write(self, uint64_t offset, unsigned int width,
                       uint64_t value) noexcept nogil


cdef class PythonDevice(Device):
    """Calls a Python object under the GIL and the machine lock."""
    cdef object _target
    cdef Bus _bus


cdef struct Window:
    uint64_t base
    uint64_t size
    void *device
    unsigned int max_width
    unsigned long long hits


cdef class Bus:
    cdef readonly str name
    cdef readonly object lock
    cdef readonly object failure
    cdef readonly unsigned long long python_calls
    cdef readonly unsigned long long unclaimed
    cdef Window _windows[MAX_WINDOWS]
    cdef int _count
    cdef int _failed
    cdef unsigned long _sequence
    cdef uint64_t _size
    cdef uint16_t *_ports
    cdef dict _names
    cdef dict _devices

    # Set when a Python handler raised; the vCPU thread then ends the machine.
    cdef bint failed(self) noexcept nogil
    # One access as an exit describes it: length is 1 to 8 bytes, any address.
    cdef void access(self, uint64_t address, uint8_t *data, unsigned int length,
                     bint is_write) noexcept nogil

    cdef int _slot(self, uint64_t address) noexcept nogil
    cdef bint _find(self, uint64_t address, Window *found) noexcept nogil
    cdef int _place(self, uint64_t base, uint64_t size) except -2
    cdef void _begin(self) noexcept nogil
    cdef void _end(self) noexcept nogil
