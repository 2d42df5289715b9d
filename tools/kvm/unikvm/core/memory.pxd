# SPDX-License-Identifier: GPL-2.0-only
"""Guest RAM: the one accessor, bounds- and overflow-checked."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    MAX_REGIONS = 16


cdef struct Region:
    uint64_t gpa
    uint64_t size
    uint8_t *hva
    bint rom


cdef class Mapping:
    cdef uint8_t *start
    cdef readonly uint64_t size
    cdef void *_raw
    cdef size_t _raw_size


cdef class GuestMemory:
    cdef Region _regions[MAX_REGIONS]
    cdef int _count
    cdef list _mappings

    # NULL unless [gpa, gpa + length) lies wholly inside one region; length 0
    # gives NULL too, so a pointer always has a byte behind it.
    cdef void *ptr(self, uint64_t gpa, uint64_t length) noexcept nogil
    # Into the guest / out of the guest: 0, or -1 with nothing copied.
    # Length 0 succeeds.
    cdef int copy_in(self, uint64_t gpa, const void *source,
                     uint64_t length) noexcept nogil
    cdef int copy_out(self, uint64_t gpa, void *target,
                      uint64_t length) noexcept nogil
    cdef Region *_region(self, uint64_t gpa, uint64_t length) noexcept nogil
    cdef Mapping _add(self, uint64_t gpa, uint64_t size, bint rom)
