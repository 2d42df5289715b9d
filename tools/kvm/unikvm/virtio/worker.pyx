# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""Serves one queue on the event loop's thread without the GIL.

The worker's mutex keeps a reset by a vCPU thread apart from a request being served:
when halt() returns, no request is in flight and none will start.
"""
from libc.stdint cimport uint32_t, uint64_t
from posix.unistd cimport read, write

from unikvm.core.eventloop cimport Handler
from unikvm.core.pthread cimport (pthread_mutex_destroy, pthread_mutex_init,
                                  pthread_mutex_lock, pthread_mutex_unlock)
from unikvm.core.ring cimport RawChain, SplitQueue
from unikvm.virtio.interrupt cimport VirtioInterrupt


cdef class QueueWorker(Handler):
    """fd: the queue's doorbell, a non-blocking eventfd.  on_fault(text) is called,
    without any lock held, when the driver broke the queue."""

    def __cinit__(self, int fd, SplitQueue queue not None, VirtioInterrupt interrupt not None,
                  unsigned int index, on_fault, *args):
        pthread_mutex_init(&self._mutex, NULL)
        self.queue = queue
        self._interrupt = interrupt
        self._index = index
        self._on_fault = on_fault

    def __dealloc__(self):
        pthread_mutex_destroy(&self._mutex)

    def start(self):
        """Serve from now on, what is available already included."""
        with nogil:
            pthread_mutex_lock(&self._mutex)
            self._running = True
            self._faulted = False
            pthread_mutex_unlock(&self._mutex)
            self._rearm()

    def halt(self):
        """Stop serving; waits for the request in flight."""
        with nogil:
            pthread_mutex_lock(&self._mutex)
            self._running = False
            pthread_mutex_unlock(&self._mutex)

    cdef void _rearm(self) noexcept nogil:
        cdef uint64_t one = 1
        write(self.fd, &one, sizeof(one))

    cdef void ready(self, uint32_t events) noexcept nogil:
        cdef uint64_t count
        cdef int result = 0
        read(self.fd, &count, sizeof(count))
        pthread_mutex_lock(&self._mutex)
        if self._running and not self._faulted:
            result = self._drain()
            self._faulted = result < 0
        pthread_mutex_unlock(&self._mutex)
        if result < 0:
            with gil:
                self._on_fault(self.queue.fault or "malformed request")

    cdef int _drain(self) noexcept nogil:
        """Serve all there is, but let other devices have a turn now and then."""
        cdef int result
        self.queue.disable_notify()
        result = self._batch()
        if result == 0 and self.queue.enable_notify():
            self._rearm()
        elif result > 0:
            self._rearm()
        if self.queue.wants_interrupt():
            self._interrupt.queue(self._index)
        return result if result < 0 else 0

    cdef int _batch(self) noexcept nogil:
        """At most one queue's worth of chains: 0 empty, 1 perhaps more, -1 fault."""
        cdef RawChain chain
        cdef long written
        cdef int result
        cdef unsigned int left = self.queue.size
        while left:
            result = self.queue.pop_chain(&chain)
            if result <= 0:
                return result
            written = self.serve(&chain)
            if written < 0:
                return -1
            self.requests += 1
            self.queue.push_used(chain.head, <uint32_t>written)
            left -= 1
        return 1

    cdef long serve(self, RawChain *chain) noexcept nogil:
        return 0
