# SPDX-License-Identifier: GPL-2.0-only
"""Linux's <sys/timerfd.h>."""
from posix.time cimport itimerspec

cdef extern from "<sys/timerfd.h>" nogil:
    int TFD_CLOEXEC, TFD_NONBLOCK
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec *new, itimerspec *old)
