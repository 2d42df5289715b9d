# SPDX-License-Identifier: GPL-2.0-only
"""Serves one queue on the event loop's thread without the GIL."""
from libc.stdint cimport uint32_t

from unikvm.core.eventloop cimport Handler
from unikvm.core.pthread cimport pthread_mutex_t
from unikvm.core.ring cimport RawChain, SplitQueue
from unikvm.virtio.interrupt cimport VirtioInterrupt


cdef class QueueWorker(Handler):
    cdef readonly SplitQueue queue
    cdef readonly unsigned long long requests
    cdef VirtioInterrupt _interrupt
    cdef unsigned int _index
    cdef object _on_fault
    cdef bint _running
    cdef bint _faulted
    cdef pthread_mutex_t _mutex

    # What subclasses fill in: bytes written to the chain, or -1 if the driver broke
    # the device's rules.  Called with the worker's mutex held.
    cdef long serve(self, RawChain *chain) noexcept nogil
    cdef int _drain(self) noexcept nogil
    cdef int _batch(self) noexcept nogil
    cdef void _rearm(self) noexcept nogil
