# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""The ports of configuration mechanism #1 (PCI local bus 3.0, 3.2.2.3.2).

A booting kernel looks for functions in 30000 accesses, nearly all to places
where there is none: those end here, without the GIL.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from unikvm.core.bus cimport Bus, Device, PythonDevice

cdef enum:
    DATA = 4
    RESET_CONTROL = 1
    ENABLE = 0x80000000
    ADDRESS_WRITABLE = 0x80fffffc


cdef class ConfigPorts(Device):
    """The address register; data goes to target if the function is there.

    target has read(offset, width) and write(offset, width, value) with offset
    = slot << 11 | function << 8 | register, called like any device on bus;
    reset gets writes to port 0xcf9 as write(0, width, value).
    """
    cdef uint32_t _address
    cdef uint8_t _present[256]
    cdef PythonDevice _target
    cdef PythonDevice _reset

    def __cinit__(self, target, reset, Bus bus):
        self._target = PythonDevice(target, bus)
        self._reset = PythonDevice(reset, bus)

    def add(self, unsigned int slot, unsigned int function):
        """There is a function at this place of bus 0 from now on."""
        if slot >= 32 or function >= 8:
            raise ValueError(f"PCI slot {slot:02x}.{function} does not exist")
        self._present[slot << 3 | function] = 1

    cdef bint _selected(self) noexcept nogil:
        return (self._address & ENABLE and self._address >> 16 & 0xff == 0
                and self._present[self._address >> 8 & 0xff])

    cdef uint64_t io_read(self, uint64_t offset, unsigned int width) noexcept nogil:
        if offset < DATA:
            return self._address >> (8 * offset)
        if not self._selected():
            return <uint64_t>-1
        return self._target.io_read((self._address & 0xfffc) + offset - DATA, width)

    cdef void io_write(self, uint64_t offset, unsigned int width,
                       uint64_t value) noexcept nogil:
        if offset >= DATA:
            if self._selected():
                self._target.io_write((self._address & 0xfffc) + offset - DATA, width, value)
        elif offset == 0 and width == 4:
            # Dwords only; a byte inside is another register of the chip set.
            self._address = value & ADDRESS_WRITABLE
        elif offset == RESET_CONTROL:
            self._reset.io_write(0, width, value)
