# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""The split virtqueue, device side (virtio 1.2 2.7).

All three areas belong to a hostile guest: every field is loaded once, then checked;
a chain never has more descriptors than the queue has entries, so a loop ends; whatever
is structurally wrong breaks the queue until it is set up anew.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from unikvm.core.memory cimport GuestMemory

cdef extern from *:
    """
    #include <stdint.h>
    /* Guest memory may change at any time: relaxed atomics make each of these
     * exactly one access. */
    static inline uint16_t ring_load16(const void *p)
    {
        return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
    }
    static inline uint32_t ring_load32(const void *p)
    {
        return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
    }
    static inline uint64_t ring_load64(const void *p)
    {
        return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
    }
    static inline void ring_store16(void *p, uint16_t v)
    {
        __atomic_store_n((uint16_t *)p, v, __ATOMIC_RELAXED);
    }
    static inline void ring_store32(void *p, uint32_t v)
    {
        __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELAXED);
    }
    /* Partner: the driver's write barrier between ring entry and avail->idx. */
    static inline uint16_t ring_acquire16(const void *p)
    {
        return __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
    }
    /* Partner: the driver's read barrier between used->idx and the entry. */
    static inline void ring_release16(void *p, uint16_t v)
    {
        __atomic_store_n((uint16_t *)p, v, __ATOMIC_RELEASE);
    }
    /* Partner: the driver's full barrier between publishing its own index (or
     * event index) and looking at ours; without both, each may miss the other. */
    static inline void ring_full_barrier(void)
    {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    """
    uint16_t ring_load16(const void *p) nogil
    uint32_t ring_load32(const void *p) nogil
    uint64_t ring_load64(const void *p) nogil
    void ring_store16(void *p, uint16_t v) nogil
    void ring_store32(void *p, uint32_t v) nogil
    uint16_t ring_acquire16(const void *p) nogil
    void ring_release16(void *p, uint16_t v) nogil
    void ring_full_barrier() nogil

cdef enum:
    LARGEST = 32768
    DESC_BYTES = 16
    F_NEXT = 1
    F_WRITE = 2
    F_INDIRECT = 4
    AVAIL_NO_INTERRUPT = 1
    USED_NO_NOTIFY = 1

FAULTS = {
    FAULT_INDEX: "available index jumped by more than the queue size",
    FAULT_HEAD: "available ring names a descriptor beyond the table",
    FAULT_NEXT: "descriptor chain leaves the table",
    FAULT_LOOP: "descriptor chain is longer than the queue",
    FAULT_RANGE: "descriptor points outside guest memory",
    FAULT_ORDER: "readable descriptor after a writable one",
    FAULT_LENGTH: "descriptor chain of 4 GiB or more",
    FAULT_INDIRECT: "bad indirect descriptor",
}


class RingError(Exception):
    """The driver broke the queue's rules; the device needs a reset."""


cdef class SplitQueue:
    """One queue; max_size: the largest size the device offers, a power of two.

    Not locked: whoever serves a queue serializes set-up and use.
    """

    def __cinit__(self, GuestMemory memory not None, unsigned int max_size):
        if not 1 <= max_size <= LARGEST or max_size & (max_size - 1):
            raise ValueError(f"queue of {max_size} entries")
        self.memory = memory
        self.max_size = max_size
        self._iov = <iovec *>calloc(max_size, sizeof(iovec))
        if self._iov == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._iov)

    def enable(self, unsigned int size, uint64_t desc, uint64_t avail, uint64_t used,
               bint event_index=False, bint indirect=False):
        """Take the driver's set-up into use; RingError if it makes no sense.

        desc, avail, used: guest-physical addresses (virtio 1.2 2.7: aligned to 16, 2
        and 4 bytes); event_index, indirect: the negotiated features.
        """
        self.reset()
        if not 1 <= size <= self.max_size or size & (size - 1):
            raise RingError(f"queue size {size}, at most {self.max_size} offered")
        if desc % 16 or avail % 2 or used % 4:
            raise RingError("misaligned queue area")
        self._desc = <uint8_t *>self.memory.ptr(desc, DESC_BYTES * size)
        self._avail = <uint8_t *>self.memory.ptr(avail, 6 + 2 * size)
        self._used = <uint8_t *>self.memory.ptr(used, 6 + 8 * size)
        if self._desc == NULL or self._avail == NULL or self._used == NULL:
            raise RingError("queue area outside guest memory")
        self.size = size
        self._event_index, self._indirect = event_index, indirect
        self.ready = True

    def reset(self):
        """Back to the state before enable()."""
        self.ready = False
        self.size = 0
        self.fault_code = FAULT_NONE
        self._desc = self._avail = self._used = NULL
        self._next_avail = self._used_index = self._signalled = 0

    @property
    def fault(self):
        """What the guest did wrong, or "" if nothing."""
        return FAULTS.get(self.fault_code, "")

    cdef int _fail(self, RingFault fault) noexcept nogil:
        self.fault_code = fault
        return -1

    cdef bint has_available(self) noexcept nogil:
        return (self.ready and self.fault_code == FAULT_NONE
                and ring_acquire16(self._avail + 2) != self._next_avail)

    cdef int pop_chain(self, RawChain *chain) noexcept nogil:
        cdef uint16_t pending, head
        if self.fault_code != FAULT_NONE:
            return -1
        if not self.ready:
            return 0
        pending = <uint16_t>(ring_acquire16(self._avail + 2) - self._next_avail)
        if pending == 0:
            return 0
        if pending > self.size:
            return self._fail(FAULT_INDEX)
        head = ring_load16(self._avail + 4 + 2 * (self._next_avail & (self.size - 1)))
        if head >= self.size:
            return self._fail(FAULT_HEAD)
        if self._walk(head, chain) < 0:
            return -1
        self._next_avail += 1
        return 1

    cdef int _walk(self, uint16_t head, RawChain *chain) noexcept nogil:
        cdef Descriptor d
        cdef uint8_t *table = self._desc
        cdef unsigned int entries = self.size, index = head, steps = 0
        cdef bint inside = False
        chain.head, chain.iov = head, self._iov
        chain.readable = chain.writable = 0
        chain.readable_bytes = chain.writable_bytes = 0
        while True:
            if steps == self.size:
                return self._fail(FAULT_LOOP)
            if index >= entries:
                return self._fail(FAULT_NEXT)
            read_descriptor(table + DESC_BYTES * index, &d)
            if d.flags & F_INDIRECT:
                if inside or self._open_indirect(&d, &table, &entries) < 0:
                    return self._fail(FAULT_INDIRECT)
                inside, index = True, 0
                continue
            if self._add(&d, chain) < 0:
                return -1
            if not d.flags & F_NEXT:
                return 0
            index = d.next
            steps += 1

    cdef int _open_indirect(self, const Descriptor *d, uint8_t **table,
                            unsigned int *entries) noexcept nogil:
        """2.7.5.3: a table of its own, not chained further, no larger than the queue."""
        if not self._indirect or d.flags & F_NEXT or d.length % DESC_BYTES:
            return -1
        # Linux sizes the table by the request, which the queue size bounds.
        if d.length // DESC_BYTES > self.size:
            return -1
        table[0] = <uint8_t *>self.memory.ptr(d.address, d.length)
        entries[0] = d.length // DESC_BYTES
        return 0 if table[0] != NULL else -1

    cdef int _add(self, const Descriptor *d, RawChain *chain) noexcept nogil:
        cdef iovec *slot
        cdef void *memory
        if not d.flags & F_WRITE and chain.writable:
            return self._fail(FAULT_ORDER)
        if d.length == 0:
            return 0
        memory = self.memory.ptr(d.address, d.length)
        if memory == NULL:
            return self._fail(FAULT_RANGE)
        slot = &self._iov[chain.readable + chain.writable]
        slot.iov_base, slot.iov_len = memory, d.length
        if d.flags & F_WRITE:
            chain.writable += 1
            chain.writable_bytes += d.length
        else:
            chain.readable += 1
            chain.readable_bytes += d.length
        # 2.7.4.2; also what fits in a used element's length.
        if chain.readable_bytes + chain.writable_bytes > <uint64_t>0xffffffff:
            return self._fail(FAULT_LENGTH)
        return 0

    cdef void push_used(self, uint16_t head, uint32_t written) noexcept nogil:
        cdef uint8_t *slot
        if not self.ready:
            return
        slot = self._used + 4 + 8 * (self._used_index & (self.size - 1))
        ring_store32(slot, head)
        ring_store32(slot + 4, written)
        self._used_index += 1
        ring_release16(self._used + 2, self._used_index)

    cdef bint wants_interrupt(self) noexcept nogil:
        cdef uint16_t event, new, old
        if not self.ready:
            return False
        new, old = self._used_index, self._signalled
        if new == old:
            return False
        ring_full_barrier()
        self._signalled = new
        if not self._event_index:
            return not ring_load16(self._avail) & AVAIL_NO_INTERRUPT
        event = ring_load16(self._avail + 4 + 2 * self.size)
        return <uint16_t>(new - event - 1) < <uint16_t>(new - old)

    cdef void disable_notify(self) noexcept nogil:
        # With event indices the one from the last enable_notify() lies behind us.
        if self.ready and not self._event_index:
            ring_store16(self._used, USED_NO_NOTIFY)

    cdef bint enable_notify(self) noexcept nogil:
        if not self.ready:
            return False
        if self._event_index:
            ring_store16(self._used + 4 + 8 * self.size, self._next_avail)
        else:
            ring_store16(self._used, 0)
        ring_full_barrier()
        return self.has_available()

    # The same for devices in Python

    def pop(self):
        """The next Chain, or None; RingError when the queue is broken."""
        cdef RawChain raw
        cdef Chain chain
        cdef int result = self.pop_chain(&raw)
        if result < 0:
            raise RingError(self.fault)
        if result == 0:
            return None
        chain = Chain.__new__(Chain, self)
        chain._take(&raw)
        return chain

    def push(self, Chain chain not None, uint32_t written=0):
        """Give a chain back with `written` bytes put into its writable part."""
        self.push_used(chain.head, written)

    def interrupt_wanted(self):
        """Whether to interrupt for what was pushed since the last call."""
        return self.wants_interrupt()

    def pause_kicks(self):
        """Tell the driver that no notification is needed."""
        self.disable_notify()

    def resume_kicks(self):
        """Ask for notifications; True if chains came in meanwhile."""
        return self.enable_notify()


cdef class Chain:
    """A popped descriptor chain; its buffers stay valid, for guest RAM does."""
    cdef readonly uint16_t head
    cdef readonly uint64_t readable_bytes
    cdef readonly uint64_t writable_bytes
    cdef SplitQueue _queue
    cdef iovec *_iov
    cdef unsigned int _readable
    cdef unsigned int _writable

    def __cinit__(self, SplitQueue queue not None):
        self._queue = queue

    def __dealloc__(self):
        free(self._iov)

    cdef int _take(self, const RawChain *raw) except -1:
        cdef unsigned int count = raw.readable + raw.writable
        self.head = raw.head
        self._readable, self._writable = raw.readable, raw.writable
        self.readable_bytes, self.writable_bytes = raw.readable_bytes, raw.writable_bytes
        self._iov = <iovec *>calloc(count + 1, sizeof(iovec))
        if self._iov == NULL:
            raise MemoryError
        memcpy(self._iov, raw.iov, count * sizeof(iovec))
        return 0

    def read(self, size_t limit, size_t skip=0):
        """The readable part from byte `skip` on, at most `limit` bytes of it."""
        cdef size_t length = min(limit, self.readable_bytes - min(skip, self.readable_bytes))
        data = bytearray(length)
        cdef uint8_t[::1] view = data
        if length:
            iov_to_buffer(self._iov, self._readable, skip, &view[0], length)
        return bytes(data)

    def write(self, const uint8_t[::1] data not None):
        """Put data into the writable part; returns how much of it fitted."""
        if not data.shape[0]:
            return 0
        return iov_from_buffer(self._iov + self._readable, self._writable, &data[0],
                               data.shape[0])


cdef inline void read_descriptor(const uint8_t *at, Descriptor *d) noexcept nogil:
    d.address = ring_load64(at)
    d.length = ring_load32(at + 8)
    d.flags = ring_load16(at + 12)
    d.next = ring_load16(at + 14)


cdef size_t iov_to_buffer(const iovec *iov, unsigned int count, size_t skip, void *buffer,
                          size_t length) noexcept nogil:
    cdef size_t done = 0, part
    cdef unsigned int i
    for i in range(count):
        if skip >= iov[i].iov_len:
            skip -= iov[i].iov_len
            continue
        part = iov[i].iov_len - skip
        if part > length - done:
            part = length - done
        memcpy(<uint8_t *>buffer + done, <const uint8_t *>iov[i].iov_base + skip, part)
        skip = 0
        done += part
        if done == length:
            break
    return done


cdef size_t iov_from_buffer(const iovec *iov, unsigned int count, const void *buffer,
                            size_t length) noexcept nogil:
    cdef size_t done = 0, part
    cdef unsigned int i
    for i in range(count):
        part = iov[i].iov_len
        if part > length - done:
            part = length - done
        memcpy(iov[i].iov_base, <const uint8_t *>buffer + done, part)
        done += part
        if done == length:
            break
    return done


cdef unsigned int iov_skip(iovec *iov, unsigned int count, size_t bytes) noexcept nogil:
    cdef unsigned int i = 0
    while i < count and bytes >= iov[i].iov_len:
        bytes -= iov[i].iov_len
        i += 1
    if i < count:
        iov[i].iov_base = <uint8_t *>iov[i].iov_base + bytes
        iov[i].iov_len -= bytes
    return i


cdef unsigned int iov_trim(iovec *iov, unsigned int count, size_t bytes) noexcept nogil:
    while count and bytes >= iov[count - 1].iov_len:
        bytes -= iov[count - 1].iov_len
        count -= 1
    if count:
        iov[count - 1].iov_len -= bytes
    return count
