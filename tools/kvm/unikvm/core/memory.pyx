# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""Guest RAM and ROM, mapped into this process.

Addresses and lengths come from the guest, so every access is checked for
range and for overflow of gpa + length; there is no unchecked way in.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset
from posix.mman cimport (MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ,
                         PROT_WRITE, mmap, munmap)

from unikvm.core.errors import GuestMemoryError, UserError

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void *start, size_t length, int advice)
    int MADV_HUGEPAGE, MADV_DONTDUMP, MAP_NORESERVE

cdef enum:
    PAGE = 4096
    HUGE_PAGE = 2 << 20


cdef class Mapping:
    """Anonymous memory aligned to 2 MiB, so the kernel can use huge pages on
    both sides; unmapped with the last reference."""
    def __cinit__(self, uint64_t size):
        self._raw = NULL
        if size == 0 or size % PAGE or size > <uint64_t>1 << 46:
            raise ValueError(f"mapping of {size} bytes")
        self._raw_size = size + HUGE_PAGE
        cdef void *raw = mmap(NULL, self._raw_size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        if raw == MAP_FAILED:
            raise UserError(f"the host has no {size >> 20} MiB for the guest: "
                            "give it less with --memory")
        self._raw = raw
        self.start = <uint8_t *>((<uint64_t>raw + HUGE_PAGE - 1)
                                 & ~<uint64_t>(HUGE_PAGE - 1))
        self.size = size
        madvise(self.start, size, MADV_HUGEPAGE)
        madvise(self.start, size, MADV_DONTDUMP)

    def __dealloc__(self):
        if self._raw != NULL:
            munmap(self._raw, self._raw_size)

    @property
    def hva(self):
        return <uint64_t>self.start


cdef class GuestMemory:
    """RAM regions, fixed at construction, and ROM added before the start.

    regions: (gpa, size) pairs in bytes, page aligned, not overlapping.
    Raises ValueError for a bad layout, UserError when the host has no memory.
    ROM can be read through this accessor but never written, and ptr() refuses
    it, since what gets a pointer may write.
    """

    def __cinit__(self, regions=()):
        self._count = 0
        self._mappings = []
        for gpa, size in regions:
            self._add(gpa, size, False)

    cdef Mapping _add(self, uint64_t gpa, uint64_t size, bint rom):
        cdef int i
        cdef Region *region
        cdef Mapping mapping
        if self._count == MAX_REGIONS:
            raise ValueError("too many memory regions")
        if gpa % PAGE or gpa + size < gpa:
            raise ValueError(f"memory region {gpa:#x}+{size:#x}")
        for i in range(self._count):
            region = &self._regions[i]
            if gpa < region.gpa + region.size and region.gpa < gpa + size:
                raise ValueError(f"memory region {gpa:#x}+{size:#x} overlaps another")
        mapping = Mapping(size)
        self._mappings.append(mapping)
        region = &self._regions[self._count]
        region.gpa, region.size, region.hva, region.rom = gpa, size, mapping.start, rom
        self._count += 1
        return mapping

    def add_rom(self, uint64_t gpa, bytes image):
        """Map image at gpa, read-only to devices; page multiples only."""
        cdef Mapping mapping = self._add(gpa, len(image), True)
        memcpy(mapping.start, <const char *>image, len(image))

    cdef Region *_region(self, uint64_t gpa, uint64_t length) noexcept nogil:
        cdef int i
        cdef Region *region
        for i in range(self._count):
            region = &self._regions[i]
            # gpa >= base first: neither subtraction below can then wrap.
            if (gpa >= region.gpa and gpa - region.gpa < region.size
                    and length <= region.size - (gpa - region.gpa)):
                return region
        return NULL

    cdef void *ptr(self, uint64_t gpa, uint64_t length) noexcept nogil:
        cdef Region *region
        if length == 0:
            return NULL
        region = self._region(gpa, length)
        if region == NULL or region.rom:
            return NULL
        return region.hva + (gpa - region.gpa)

    cdef int copy_in(self, uint64_t gpa, const void *source,
                     uint64_t length) noexcept nogil:
        if length == 0:
            return 0
        cdef void *target = self.ptr(gpa, length)
        if target == NULL:
            return -1
        memcpy(target, source, length)
        return 0

    cdef int copy_out(self, uint64_t gpa, void *target,
                      uint64_t length) noexcept nogil:
        cdef Region *region
        if length == 0:
            return 0
        region = self._region(gpa, length)
        if region == NULL:
            return -1
        memcpy(target, region.hva + (gpa - region.gpa), length)
        return 0

    @property
    def regions(self):
        """RAM as a list of (gpa, size)."""
        return [(self._regions[i].gpa, self._regions[i].size)
                for i in range(self._count) if not self._regions[i].rom]

    @property
    def size(self):
        """Bytes of RAM."""
        return sum(size for _, size in self.regions)

    def hva(self, uint64_t gpa):
        """Host address of gpa, RAM or ROM, for a memslot; GuestMemoryError."""
        cdef Region *region = self._region(gpa, 1)
        if region == NULL:
            raise GuestMemoryError(f"no guest memory at {gpa:#x}")
        return <uint64_t>(region.hva + (gpa - region.gpa))

    def read(self, uint64_t gpa, uint64_t length):
        """length bytes at gpa; GuestMemoryError if not all are memory."""
        cdef Region *region
        if length == 0:
            return b""
        region = self._region(gpa, length)
        if region == NULL:
            raise _outside(gpa, length)
        return (<char *>(region.hva + (gpa - region.gpa)))[:length]

    def write(self, uint64_t gpa, data):
        """Put a bytes-like object at gpa; GuestMemoryError, nothing written."""
        cdef const uint8_t[::1] view = data
        if view.shape[0] and self.copy_in(gpa, &view[0], view.shape[0]) < 0:
            raise _outside(gpa, view.shape[0])

    def fill(self, uint64_t gpa, uint8_t value, uint64_t length):
        """Set length bytes at gpa to value."""
        cdef void *target
        if length == 0:
            return
        target = self.ptr(gpa, length)
        if target == NULL:
            raise _outside(gpa, length)
        with nogil:
            memset(target, value, length)

    def load8(self, uint64_t gpa):
        return _load(self, gpa, 1)

    def load16(self, uint64_t gpa):
        return _load(self, gpa, 2)

    def load32(self, uint64_t gpa):
        return _load(self, gpa, 4)

    def load64(self, uint64_t gpa):
        return _load(self, gpa, 8)

    def store8(self, uint64_t gpa, uint64_t value):
        _store(self, gpa, value, 1)

    def store16(self, uint64_t gpa, uint64_t value):
        _store(self, gpa, value, 2)

    def store32(self, uint64_t gpa, uint64_t value):
        _store(self, gpa, value, 4)

    def store64(self, uint64_t gpa, uint64_t value):
        _store(self, gpa, value, 8)


cdef object _outside(uint64_t gpa, uint64_t length):
    return GuestMemoryError(f"{length:#x} bytes at {gpa:#x} are not guest memory")


cdef object _load(GuestMemory memory, uint64_t gpa, unsigned int width):
    # Little-endian like the guest; a copy of the whole width, so that a value
    # the guest changes meanwhile is seen once.
    cdef uint64_t value = 0
    if memory.copy_out(gpa, &value, width) < 0:
        raise _outside(gpa, width)
    return value


cdef int _store(GuestMemory memory, uint64_t gpa, uint64_t value,
                unsigned int width) except -1:
    if width < 8 and value >> (8 * width):
        raise OverflowError(f"{value:#x} in {width} bytes")
    if memory.copy_in(gpa, &value, width) < 0:
        raise _outside(gpa, width)
    return 0
