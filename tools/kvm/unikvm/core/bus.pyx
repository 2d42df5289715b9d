# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""Port and memory buses.

vCPU threads look windows up without a lock: a sequence counter, odd while a
writer is at work, tells a reader to look again.  Windows come and go with the
guest's programming of PCI BARs, so registration refuses instead of growing:
at most MAX_WINDOWS, and a device object stays referenced until the bus goes,
for a reader may still be about to call it.
"""
import threading

from libc.stdlib cimport free
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memmove

from unikvm.core.errors import BusError

cdef extern from *:
    """
    #include <stdlib.h>
    static inline unsigned long sequence_load(const unsigned long *s)
    {
        return __atomic_load_n(s, __ATOMIC_ACQUIRE);
    }
    /* Orders the copy of a window before the second look at the counter;
     * the partner is sequence_begin() in a writer. */
    static inline int sequence_same(const unsigned long *s, unsigned long v)
    {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        return __atomic_load_n(s, __ATOMIC_RELAXED) == v;
    }
    static inline void sequence_begin(unsigned long *s)
    {
        __atomic_store_n(s, *s + 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    static inline void sequence_end(unsigned long *s)
    {
        __atomic_store_n(s, *s + 1, __ATOMIC_RELEASE);
    }
    static inline void count_one(unsigned long long *c)
    {
        __atomic_fetch_add(c, 1, __ATOMIC_RELAXED);
    }
    """
    unsigned long sequence_load(const unsigned long *s) nogil
    bint sequence_same(const unsigned long *s, unsigned long v) nogil
    void sequence_begin(unsigned long *s) nogil
    void sequence_end(unsigned long *s) nogil
    void count_one(unsigned long long *c) nogil
    void *calloc(size_t count, size_t size) nogil


cdef class Device:
    """Base of devices without the GIL; on its own it reads as all ones."""

    cdef uint64_t io_read(self, uint64_t offset, unsigned int width) noexcept nogil:
        return <uint64_t>-1

    cdef void io_write(self, uint64_t offset, unsigned int width,
                       uint64_t value) noexcept nogil:
        pass

    # The same pair for Python callers (tests, other devices).
    def read(self, uint64_t offset, unsigned int width):
        return self.io_read(offset, width) & _mask(width)

    def write(self, uint64_t offset, unsigned int width, uint64_t value):
        self.io_write(offset, width, value)


cdef class PythonDevice(Device):
    """A Python object with read(offset, width) and write(offset, width, value)."""

    def __cinit__(self, target, Bus bus):
        self._target = target
        self._bus = bus

    cdef uint64_t io_read(self, uint64_t offset, unsigned int width) noexcept nogil:
        cdef uint64_t value = <uint64_t>-1
        count_one(&self._bus.python_calls)
        with gil:
            try:
                with self._bus.lock:
                    value = <uint64_t>(self._target.read(offset, width)
                                       & 0xffffffffffffffff)
            except BaseException as error:
                _fail(self._bus, error)
        return value

    cdef void io_write(self, uint64_t offset, unsigned int width,
                       uint64_t value) noexcept nogil:
        count_one(&self._bus.python_calls)
        with gil:
            try:
                with self._bus.lock:
                    self._target.write(offset, width, value)
            except BaseException as error:
                _fail(self._bus, error)


cdef void _fail(Bus bus, error):
    if bus.failure is None:
        bus.failure = error
    bus._failed = 1


cdef inline uint64_t _mask(unsigned int width) noexcept nogil:
    return <uint64_t>-1 if width >= 8 else (<uint64_t>1 << (8 * width)) - 1


cdef class Bus:
    """name: for messages.  bits: address width; 16 makes a port bus, which
    looks up in a flat table.  lock: the machine lock (made here if None)."""

    def __cinit__(self, str name, int bits, lock=None):
        if not 1 <= bits <= 63:
            raise ValueError(f"{bits} address bits")
        self.name = name
        self.lock = threading.RLock() if lock is None else lock
        self._size = <uint64_t>1 << bits
        self._names = {}
        self._devices = {}
        if self._size == PIO_PORTS:
            self._ports = <uint16_t *>calloc(PIO_PORTS, sizeof(uint16_t))
            if self._ports == NULL:
                raise MemoryError

    def __dealloc__(self):
        free(self._ports)

    cdef bint failed(self) noexcept nogil:
        return self._failed

    # Readers

    cdef int _slot(self, uint64_t address) noexcept nogil:
        cdef int low = 0, high = self._count, middle
        cdef Window *window
        if address >= self._size:
            return -1
        if self._ports != NULL:
            return <int>self._ports[address] - 1
        while low < high:
            middle = (low + high) // 2
            window = &self._windows[middle]
            if address < window.base:
                high = middle
            elif address - window.base >= window.size:
                low = middle + 1
            else:
                return middle
        return -1

    cdef bint _find(self, uint64_t address, Window *found) noexcept nogil:
        cdef unsigned long sequence
        cdef int slot
        while True:
            sequence = sequence_load(&self._sequence)
            if sequence & 1:
                continue
            slot = self._slot(address)
            if slot >= 0:
                # A writer may be moving this; then it is one count in the
                # wrong place, and the copy below is taken again.
                count_one(&self._windows[slot].hits)
                found[0] = self._windows[slot]
            if sequence_same(&self._sequence, sequence):
                return slot >= 0

    cdef void access(self, uint64_t address, uint8_t *data, unsigned int length,
                     bint is_write) noexcept nogil:
        cdef unsigned int done = 0, width
        cdef uint64_t value, offset
        cdef Window window
        while done < length:
            if not self._find(address + done, &window):
                count_one(&self.unclaimed)
                if not is_write:
                    data[done] = 0xff
                done += 1
                continue
            offset = address + done - window.base
            width = _chunk(length - done, window.size - offset, window.max_width)
            value = 0
            if is_write:
                memcpy(&value, data + done, width)
                (<Device>window.device).io_write(offset, width, value)
            else:
                value = (<Device>window.device).io_read(offset, width)
                memcpy(data + done, &value, width)
            done += width

    def read(self, uint64_t address, unsigned int width):
        """Read 1 to 8 bytes as a vCPU would; raises what a handler raised."""
        cdef uint64_t value = 0
        if not 1 <= width <= 8:
            raise ValueError(f"access of {width} bytes")
        with nogil:
            self.access(address, <uint8_t *>&value, width, False)
        self._raise()
        return value

    def write(self, uint64_t address, unsigned int width, uint64_t value):
        """Write 1 to 8 bytes as a vCPU would; raises what a handler raised."""
        if not 1 <= width <= 8:
            raise ValueError(f"access of {width} bytes")
        with nogil:
            self.access(address, <uint8_t *>&value, width, True)
        self._raise()

    def _raise(self):
        failure, self.failure, self._failed = self.failure, None, 0
        if failure is not None:
            raise failure

    # Writers, under the machine lock

    cdef void _begin(self) noexcept nogil:
        sequence_begin(&self._sequence)

    cdef void _end(self) noexcept nogil:
        cdef int slot
        cdef uint64_t port
        if self._ports != NULL:
            for port in range(PIO_PORTS):
                self._ports[port] = 0
            for slot in range(self._count):
                for port in range(self._windows[slot].base,
                                  self._windows[slot].base + self._windows[slot].size):
                    self._ports[port] = slot + 1
        sequence_end(&self._sequence)

    cdef int _place(self, uint64_t base, uint64_t size) except -2:
        """The index at which [base, base + size) keeps the array sorted."""
        cdef int slot = 0
        cdef Window *window
        if size == 0:
            raise BusError(f"{self.name}: window of no length at {base:#x}")
        if base >= self._size or size > self._size - base:
            raise BusError(f"{self.name}: window {base:#x}+{size:#x} is beyond the bus")
        while slot < self._count and self._windows[slot].base < base:
            slot += 1
        if slot > 0:
            window = &self._windows[slot - 1]
            if base - window.base < window.size:
                raise BusError(f"{self.name}: window {base:#x}+{size:#x} overlaps "
                               f"{self._names[window.base]}")
        if slot < self._count and self._windows[slot].base - base < size:
            raise BusError(f"{self.name}: window {base:#x}+{size:#x} overlaps "
                           f"{self._names[self._windows[slot].base]}")
        return slot

    def register(self, uint64_t base, uint64_t size, device, str name,
                 unsigned int max_width=8):
        """Claim [base, base + size) for device.

        max_width: the widest access the device takes; the bus splits wider
        ones into little-endian parts.  BusError on overlap, zero length, an
        address beyond the bus, or a full table.
        """
        cdef int slot
        cdef Device target
        if max_width not in (1, 2, 4, 8):
            raise ValueError(f"{name}: accesses of {max_width} bytes")
        with self.lock:
            slot = self._place(base, size)
            if self._count == MAX_WINDOWS:
                raise BusError(f"{self.name}: no room for {name}")
            target = self._wrap(device)
            self._names[base] = name
            with nogil:
                self._begin()
                memmove(&self._windows[slot + 1], &self._windows[slot],
                        (self._count - slot) * sizeof(Window))
                self._windows[slot].base = base
                self._windows[slot].size = size
                self._windows[slot].device = <void *>target
                self._windows[slot].max_width = max_width
                self._windows[slot].hits = 0
                self._count += 1
                self._end()

    def _wrap(self, device):
        """The Device for device; kept for good, one for each object."""
        if id(device) not in self._devices:
            wrapped = device if isinstance(device, Device) else PythonDevice(device, self)
            # The key is an id: it stays unique while the device is kept too.
            self._devices[id(device)] = (wrapped, device)
        return self._devices[id(device)][0]

    def unregister(self, uint64_t base):
        """Give up the window that starts at base; BusError if there is none."""
        cdef int slot
        with self.lock:
            slot = self._at(base)
            del self._names[base]
            with nogil:
                self._begin()
                self._count -= 1
                memmove(&self._windows[slot], &self._windows[slot + 1],
                        (self._count - slot) * sizeof(Window))
                self._end()

    def move(self, uint64_t base, uint64_t new_base):
        """Move the window at base; if refused (BusError) it stays put."""
        cdef Window old
        with self.lock:
            old = self._windows[self._at(base)]
            name = self._names[base]
            device = <object>old.device
            self.unregister(base)
            try:
                self.register(new_base, old.size, device, name, old.max_width)
            except BusError:
                self.register(base, old.size, device, name, old.max_width)
                raise

    def _at(self, uint64_t base):
        cdef int slot
        for slot in range(self._count):
            if self._windows[slot].base == base:
                return slot
        raise BusError(f"{self.name}: no window starts at {base:#x}")

    def windows(self):
        """All windows as (base, size, name), sorted by base."""
        with self.lock:
            return [(self._windows[i].base, self._windows[i].size,
                     self._names[self._windows[i].base]) for i in range(self._count)]

    def hits(self):
        """Accesses by window name, after splitting; for statistics, not exact."""
        with self.lock:
            return {self._names[self._windows[i].base]: self._windows[i].hits
                    for i in range(self._count)}


cdef inline unsigned int _chunk(unsigned int length, uint64_t room,
                                unsigned int max_width) noexcept nogil:
    """The largest of 8, 4, 2, 1 that all three allow."""
    cdef unsigned int width = 8
    while width > length or width > room or width > max_width:
        width >>= 1
    return width
