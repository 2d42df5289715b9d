# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""One epoll thread for all devices: descriptors, timers, calls from others.

Python callbacks run under the machine lock, like bus handlers; they must not
block.  Cython handlers run without the GIL and see to their own locking.
"""
import os
import threading
from collections import deque

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, itimerspec
from posix.unistd cimport close, read, write

from unikvm.core.timerfd cimport TFD_CLOEXEC, TFD_NONBLOCK, timerfd_create, timerfd_settime

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void *ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL
    uint32_t EPOLLIN
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int count, int timeout)

cdef extern from "<sys/eventfd.h>" nogil:
    int EFD_CLOEXEC, EFD_NONBLOCK
    int eventfd(unsigned int value, int flags)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int sigfillset(sigset_t *set)
    int SIG_SETMASK
    int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)

cdef enum:
    BATCH = 32


cdef int _check(int result, str what) except -1:
    if result < 0:
        raise OSError(errno, f"{what}: {os.strerror(errno)}")
    return result


cdef class Handler:
    def __cinit__(self, int fd, *args):
        self.fd = fd

    cdef void ready(self, uint32_t events) noexcept nogil:
        pass


cdef class _Callback(Handler):
    cdef EventLoop loop
    cdef object callback
    cdef bint active

    def __cinit__(self, int fd, EventLoop loop, callback):
        self.loop = loop
        self.callback = callback
        self.active = True

    cdef void ready(self, uint32_t events) noexcept nogil:
        with gil:
            self.loop.python_calls += 1
            try:
                with self.loop.lock:
                    # remove() may have come first and waited for us.
                    if self.active:
                        self.callback(events)
            except BaseException as error:
                _failed(self.loop, error)


cdef void _failed(EventLoop loop, error):
    try:
        if loop.failure is None:
            loop.failure = error
            if loop.on_failure is not None:
                loop.on_failure(error)
    except BaseException:
        # The first error stays recorded; there is nobody left to tell.
        pass


cdef class EventLoop:
    """lock: the machine lock (made here if None).  on_failure(error) is called
    on the loop's thread when a Python callback raised; the first such error
    stays in failure."""

    def __cinit__(self, lock=None):
        self._epoll = self._wake = -1
        self.lock = threading.RLock() if lock is None else lock
        self._handlers = {}
        self._timers = []
        self._retired = []
        self._soon = deque()
        self._epoll = _check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")
        self._wake = _check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")

    def __init__(self, lock=None):
        self.add(self._wake, self._run_soon)

    def __dealloc__(self):
        if self._epoll >= 0:
            close(self._epoll)
        if self._wake >= 0:
            close(self._wake)

    def add(self, int fd, callback, uint32_t events=EPOLLIN):
        """Call callback(events) whenever fd is ready (level-triggered).
        OSError EPERM for what cannot be polled, such as a regular file."""
        self.add_handler(_Callback(fd, self, callback), events)

    def add_handler(self, Handler handler not None, uint32_t events=EPOLLIN):
        """Like add() for a Handler."""
        if handler.fd in self._handlers:
            raise ValueError(f"descriptor {handler.fd} is in the loop already")
        cdef epoll_event event
        event.events = events
        event.data.ptr = <void *>handler
        _check(epoll_ctl(self._epoll, EPOLL_CTL_ADD, handler.fd, &event), "epoll_ctl")
        self._handlers[handler.fd] = handler

    def modify(self, int fd, uint32_t events):
        """Wait for other events on fd; 0 for none but errors."""
        cdef epoll_event event
        event.events = events
        event.data.ptr = <void *><Handler>self._handlers[fd]
        _check(epoll_ctl(self._epoll, EPOLL_CTL_MOD, fd, &event), "epoll_ctl")

    def remove(self, int fd):
        """Forget fd.  From a thread that holds the machine lock: no Python
        callback for it comes any more."""
        cdef epoll_event event
        handler = self._handlers.pop(fd)
        epoll_ctl(self._epoll, EPOLL_CTL_DEL, fd, &event)
        if isinstance(handler, _Callback):
            (<_Callback>handler).active = False
        # The loop may hold its address from the last epoll_wait.
        self._retired.append(handler)
        self._has_retired = 1

    def call_soon(self, function):
        """Call function() on the loop's thread; from any thread."""
        self._soon.append(function)
        self._poke()

    def timer(self, callback):
        """A Timer that calls callback() on the loop's thread."""
        timer = Timer(self, callback)
        self._timers.append(timer)
        return timer

    def start(self):
        self._thread = threading.Thread(target=self._main, daemon=True, name="events")
        self._thread.start()

    def stop(self):
        """End the thread and wait for it.  Not from the loop's own thread, nor
        with the machine lock held."""
        if self._thread is None:
            return
        self._stop = 1
        self._poke()
        self._thread.join()
        self._thread = None
        self._stop = 0

    def close(self):
        """stop(), then give up all timers and descriptors of its own; for good.
        What was added stays its owner's to close."""
        self.stop()
        while self._timers:
            self._timers[0].close()
        self._handlers.clear()
        self._retired.clear()
        if self._epoll >= 0:
            close(self._epoll)
            close(self._wake)
            self._epoll = self._wake = -1

    def _poke(self):
        cdef uint64_t one = 1
        write(self._wake, &one, sizeof(one))

    def _run_soon(self, events):
        cdef uint64_t count
        read(self._wake, &count, sizeof(count))
        while self._soon:
            self._soon.popleft()()

    def _main(self):
        cdef sigset_t mask
        sigfillset(&mask)
        pthread_sigmask(SIG_SETMASK, &mask, NULL)
        with nogil:
            self._loop()

    cdef void _loop(self) noexcept nogil:
        cdef epoll_event events[BATCH]
        cdef int i, count
        while not self._stop:
            if self._has_retired:
                self._forget()
            count = epoll_wait(self._epoll, events, BATCH, -1)
            if count < 0 and errno != EINTR:
                return
            for i in range(count):
                (<Handler>events[i].data.ptr).ready(events[i].events)

    cdef void _forget(self) noexcept nogil:
        with gil:
            self._has_retired = 0
            self._retired.clear()


cdef class Timer:
    """A one-shot timer of an EventLoop; made by EventLoop.timer()."""
    cdef EventLoop _loop
    cdef object _callback
    cdef int _fd

    def __cinit__(self, EventLoop loop, callback):
        self._fd = -1
        self._loop = loop
        self._callback = callback
        self._fd = _check(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                          "timerfd_create")

    def __init__(self, loop, callback):
        self._loop.add(self._fd, self._expired)

    def __dealloc__(self):
        if self._fd >= 0:
            close(self._fd)

    def arm(self, double seconds):
        """Fire once, seconds from now; replaces what was armed before."""
        # A zero value would disarm: fire as soon as can be instead.
        self._set(max(<int64_t>(seconds * 1e9), 1))

    def cancel(self):
        self._set(0)

    def close(self):
        """Leave the loop for good."""
        if self._fd >= 0:
            self._loop.remove(self._fd)
            self._loop._timers.remove(self)
            close(self._fd)
            self._fd = -1

    cdef _set(self, int64_t nanoseconds):
        if self._fd < 0:
            return
        cdef itimerspec value
        memset(&value, 0, sizeof(value))
        value.it_value.tv_sec = nanoseconds // 1000000000
        value.it_value.tv_nsec = nanoseconds % 1000000000
        _check(timerfd_settime(self._fd, 0, &value, NULL), "timerfd_settime")

    def _expired(self, events):
        cdef uint64_t count
        # Nothing to read: cancelled or armed anew since the loop woke up.
        if read(self._fd, &count, sizeof(count)) == sizeof(count):
            self._callback()
