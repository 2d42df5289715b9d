# SPDX-License-Identifier: GPL-2.0-only
"""One epoll thread for all devices."""
from libc.stdint cimport uint32_t


cdef class Handler:
    """What runs when a descriptor is ready.  Subclass in Cython to stay
    without the GIL and the machine lock; a call may still come, once, just
    after remove()."""
    cdef readonly int fd
    cdef void ready(self, uint32_t events) noexcept nogil


cdef class EventLoop:
    cdef readonly object lock
    cdef readonly object failure
    cdef readonly unsigned long long python_calls
    cdef public object on_failure
    cdef int _epoll
    cdef int _wake
    cdef int _stop
    cdef int _has_retired
    cdef dict _handlers
    cdef list _timers
    cdef list _retired
    cdef object _soon
    cdef object _thread
    cdef void _loop(self) noexcept nogil
    cdef void _forget(self) noexcept nogil
