# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""Requests of a virtio block device (virtio 1.2 5.2.6), straight into guest memory."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from unikvm.block.raw cimport Disk
from unikvm.core.ring cimport (RawChain, iov_from_buffer, iov_skip, iov_to_buffer, iov_trim,
                               iovec)
from unikvm.virtio.worker cimport QueueWorker

cdef enum:
    T_IN = 0
    T_OUT = 1
    T_FLUSH = 4
    T_GET_ID = 8
    S_OK = 0
    S_IOERR = 1
    S_UNSUPP = 2
    SECTOR_BYTES = 512
    ID_BYTES = 20


cdef struct Header:
    uint32_t type
    uint32_t reserved
    uint64_t sector


cdef class BlkWorker(QueueWorker):
    """Extra arguments: the disk, and the serial number (at most 20 bytes)."""
    cdef Disk _disk
    cdef uint8_t _id[ID_BYTES]

    def __init__(self, fd, queue, interrupt, index, on_fault, Disk disk not None,
                 bytes serial not None):
        if len(serial) > ID_BYTES:
            raise ValueError(f"disk serial number of {len(serial)} bytes")
        self._disk = disk
        memset(self._id, 0, ID_BYTES)
        memcpy(self._id, <const char *>serial, len(serial))

    cdef long serve(self, RawChain *chain) noexcept nogil:
        cdef Header header
        cdef unsigned int gone
        cdef uint8_t *status
        cdef iovec *last
        cdef uint64_t room
        # No byte for the status: nothing can be reported, so the device gives up.
        if chain.writable == 0:
            return -1
        last = &chain.iov[chain.readable + chain.writable - 1]
        status = <uint8_t *>last.iov_base + last.iov_len - 1
        chain.writable = iov_trim(chain.iov + chain.readable, chain.writable, 1)
        room = chain.writable_bytes - 1
        if iov_to_buffer(chain.iov, chain.readable, 0, &header, sizeof(header)) < sizeof(header):
            status[0] = S_IOERR
            return 1
        gone = iov_skip(chain.iov, chain.readable, sizeof(header))
        return self._execute(chain, &header, gone, room, status)

    cdef long _execute(self, RawChain *chain, const Header *header, unsigned int gone,
                       uint64_t room, uint8_t *status) noexcept nogil:
        """Bytes written to the guest, the status byte included."""
        cdef iovec *target = chain.iov + chain.readable
        if header.type == T_IN:
            status[0] = self._read(target, chain.writable, header.sector, room)
            return 1 + <long>room if status[0] == S_OK else 1
        if header.type == T_OUT:
            status[0] = self._write(chain.iov + gone, chain.readable - gone, header.sector,
                                    chain.readable_bytes - sizeof(Header))
        elif header.type == T_FLUSH:
            status[0] = S_OK if self._disk.flush() == 0 else S_IOERR
        elif header.type == T_GET_ID:
            status[0] = S_OK
            return 1 + <long>iov_from_buffer(target, chain.writable, self._id, ID_BYTES)
        else:
            status[0] = S_UNSUPP
        return 1

    cdef bint _in_range(self, uint64_t sector, uint64_t length) noexcept nogil:
        cdef uint64_t sectors = self._disk.size // SECTOR_BYTES
        if length == 0 or length % SECTOR_BYTES:
            return False
        return sector < sectors and length // SECTOR_BYTES <= sectors - sector

    cdef uint8_t _read(self, iovec *iov, unsigned int count, uint64_t sector,
                       uint64_t length) noexcept nogil:
        if not self._in_range(sector, length):
            return S_IOERR
        return S_OK if self._disk.read_at(iov, count, sector * SECTOR_BYTES) == 0 else S_IOERR

    cdef uint8_t _write(self, iovec *iov, unsigned int count, uint64_t sector,
                        uint64_t length) noexcept nogil:
        if self._disk.read_only or not self._in_range(sector, length):
            return S_IOERR
        return S_OK if self._disk.write_at(iov, count, sector * SECTOR_BYTES) == 0 else S_IOERR
