# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""A disk in a raw file or on a block device, sector n at byte 512 * n."""
import errno as _errno
import fcntl
import os
import stat

from libc.errno cimport EINTR, EIO, EROFS, errno
from libc.stdint cimport uint8_t, uint64_t

from unikvm.core.errors import UserError
from unikvm.core.ring cimport iov_skip, iovec

cdef extern from "<sys/uio.h>" nogil:
    ssize_t preadv(int fd, const iovec *iov, int count, long offset)
    ssize_t pwritev(int fd, const iovec *iov, int count, long offset)

cdef extern from "<unistd.h>" nogil:
    int fdatasync(int fd)

cdef extern from "<limits.h>" nogil:
    int IOV_MAX

SECTOR = 512


cdef class Disk:
    """Base class; on its own it fails every request."""

    cdef int read_at(self, iovec *iov, unsigned int count, uint64_t offset) noexcept nogil:
        return -EIO

    cdef int write_at(self, iovec *iov, unsigned int count, uint64_t offset) noexcept nogil:
        return -EIO

    cdef int flush(self) noexcept nogil:
        return 0

    def close(self):
        """Let go of what is behind the disk."""


cdef class RawDisk(Disk):
    """An open raw image; made by RawDisk.open().  `size` in bytes."""

    def __cinit__(self, *args):
        self.fd = -1

    @classmethod
    def open(cls, path, read_only=False):
        """Open an existing image and lock it.  UserError, one line, for whatever is wrong."""
        cdef RawDisk disk = cls()
        disk.path = os.fspath(path)
        disk.read_only = read_only
        try:
            # Non-blocking for the sake of named pipes, whose opening may wait for ever.
            disk.fd = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR)
                              | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise UserError(_open_advice(path, error)) from None
        try:
            disk.size = _size(path, disk.fd)
            _lock(path, disk.fd, read_only)
        except BaseException:
            disk.close()
            raise
        return disk

    def __dealloc__(self):
        if self.fd >= 0:
            os.close(self.fd)

    def close(self):
        """Close the file, which drops the lock too; requests fail from now on."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def read(self, offset, length):
        """`length` bytes at `offset`, for loaders and tests; OSError."""
        data = bytearray(length)
        cdef uint8_t[::1] view = data
        cdef iovec iov
        if length:
            iov.iov_base, iov.iov_len = &view[0], length
            _raise(self.read_at(&iov, 1, offset), self.path)
        return bytes(data)

    cdef int read_at(self, iovec *iov, unsigned int count, uint64_t offset) noexcept nogil:
        return self._transfer(iov, count, offset, False)

    cdef int write_at(self, iovec *iov, unsigned int count, uint64_t offset) noexcept nogil:
        if self.read_only:
            return -EROFS
        return self._transfer(iov, count, offset, True)

    cdef int _transfer(self, iovec *iov, unsigned int count, uint64_t offset,
                       bint write) noexcept nogil:
        cdef ssize_t done
        cdef unsigned int gone, part
        while count:
            part = count if count < <unsigned int>IOV_MAX else <unsigned int>IOV_MAX
            if write:
                done = pwritev(self.fd, iov, part, offset)
            else:
                done = preadv(self.fd, iov, part, offset)
            if done < 0 and errno == EINTR:
                continue
            if done < 0:
                return -errno
            # The file shrank under us, or the disk behind it is full.
            if done == 0:
                return -EIO
            offset += done
            gone = iov_skip(iov, count, done)
            iov += gone
            count -= gone
        return 0

    cdef int flush(self) noexcept nogil:
        if self.read_only:
            return 0
        return 0 if fdatasync(self.fd) == 0 else -errno


def _raise(int result, path):
    if result < 0:
        raise OSError(-result, f"{path}: {os.strerror(-result)}")


def _open_advice(path, error):
    if error.errno == _errno.ENOENT:
        return f"disk {path} does not exist"
    if error.errno == _errno.EISDIR:
        return f"disk {path} is a directory, an image file or block device is needed"
    if error.errno in (_errno.EACCES, _errno.EPERM, _errno.EROFS):
        return (f"no permission to open disk {path}: {error.strerror}; "
                "make it writable, or attach it read-only")
    return f"cannot open disk {path}: {error.strerror}"


def _size(path, fd):
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        raise UserError(f"disk {path} is a directory, an image file or block device is needed")
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise UserError(f"disk {path} is neither a file nor a block device")
    size = os.lseek(fd, 0, os.SEEK_END)
    if size == 0:
        raise UserError(f"disk {path} is empty")
    if size % SECTOR:
        raise UserError(f"disk {path} has {size} bytes, not a multiple of {SECTOR}: "
                        "truncated, or not a raw image")
    return size


def _lock(path, fd, read_only):
    """Many readers or one writer; the lock goes with the descriptor."""
    kind = fcntl.LOCK_SH if read_only else fcntl.LOCK_EX
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"disk {path} is in use by another machine") from None
    except OSError:
        # A file system without locks (some network ones): nothing to hold on to.
        pass
