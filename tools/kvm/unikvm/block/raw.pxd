# SPDX-License-Identifier: GPL-2.0-only
"""Disks: an array of 512-byte sectors."""
from libc.stdint cimport uint64_t

from unikvm.core.ring cimport iovec


cdef class Disk:
    cdef readonly uint64_t size
    cdef readonly bint read_only
    # Move all of the iovecs' bytes at `offset`; 0 or -errno.  The iovecs are used up.
    # From one thread at a time.
    cdef int read_at(self, iovec *iov, unsigned int count, uint64_t offset) noexcept nogil
    cdef int write_at(self, iovec *iov, unsigned int count, uint64_t offset) noexcept nogil
    cdef int flush(self) noexcept nogil


cdef class RawDisk(Disk):
    cdef readonly int fd
    cdef readonly str path
    cdef int _transfer(self, iovec *iov, unsigned int count, uint64_t offset,
                       bint write) noexcept nogil
