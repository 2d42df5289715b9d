# SPDX-License-Identifier: GPL-2.0-only
"""The split virtqueue, device side (virtio 1.2 2.7)."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from unikvm.core.memory cimport GuestMemory

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len


# What a guest did wrong; SplitQueue.fault, texts in FAULTS.
cdef enum RingFault:
    FAULT_NONE
    FAULT_INDEX
    FAULT_HEAD
    FAULT_NEXT
    FAULT_LOOP
    FAULT_RANGE
    FAULT_ORDER
    FAULT_LENGTH
    FAULT_INDIRECT


cdef struct RawChain:
    uint16_t head
    # Buffers in chain order: `readable` for the device to read, then
    # `writable` for it to write.  Valid until the next pop_chain().
    iovec *iov
    unsigned int readable
    unsigned int writable
    uint64_t readable_bytes
    uint64_t writable_bytes


cdef struct Descriptor:
    uint64_t address
    uint32_t length
    uint16_t flags
    uint16_t next


cdef class SplitQueue:
    cdef readonly GuestMemory memory
    cdef readonly unsigned int max_size
    cdef readonly unsigned int size
    cdef readonly bint ready
    cdef readonly RingFault fault_code
    cdef bint _event_index
    cdef bint _indirect
    cdef uint8_t *_desc
    cdef uint8_t *_avail
    cdef uint8_t *_used
    cdef uint16_t _next_avail
    cdef uint16_t _used_index
    cdef uint16_t _signalled
    cdef iovec *_iov

    # 1: chain filled in; 0: nothing available; -1: broken, see fault_code.
    cdef int pop_chain(self, RawChain *chain) noexcept nogil
    cdef void push_used(self, uint16_t head, uint32_t written) noexcept nogil
    # Whether the driver wants an interrupt for what was pushed since asked last.
    cdef bint wants_interrupt(self) noexcept nogil
    cdef void disable_notify(self) noexcept nogil
    # Ask for kicks again; true if more became available meanwhile.
    cdef bint enable_notify(self) noexcept nogil
    cdef bint has_available(self) noexcept nogil

    cdef int _fail(self, RingFault fault) noexcept nogil
    cdef int _walk(self, uint16_t head, RawChain *chain) noexcept nogil
    cdef int _add(self, const Descriptor *d, RawChain *chain) noexcept nogil
    cdef int _open_indirect(self, const Descriptor *d, uint8_t **table,
                            unsigned int *entries) noexcept nogil


# Copy between an iovec array (from byte `skip` on) and a buffer, at most `length`
# bytes; bytes done.
cdef size_t iov_to_buffer(const iovec *iov, unsigned int count, size_t skip, void *buffer,
                          size_t length) noexcept nogil
cdef size_t iov_from_buffer(const iovec *iov, unsigned int count, const void *buffer,
                            size_t length) noexcept nogil
# Drop `bytes` from the front; returns how many whole elements are gone.
cdef unsigned int iov_skip(iovec *iov, unsigned int count, size_t bytes) noexcept nogil
# Drop `bytes` from the end; returns the new count.
cdef unsigned int iov_trim(iovec *iov, unsigned int count, size_t bytes) noexcept nogil
