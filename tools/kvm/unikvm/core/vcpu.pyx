# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""The thread that runs one vCPU: one nogil region around KVM_RUN.

The GIL is taken only where a bus calls a Python device, and once at the end.
A thread ends by itself (the guest died, or did something this VMM does not
know) or because stop() asked it to.
"""
import os
import threading

from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport uint8_t, uint64_t

from unikvm.abi.kvm cimport *

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int sigfillset(sigset_t *set)
    int sigdelset(sigset_t *set, int number)
    int SIG_SETMASK

cdef extern from "<pthread.h>" nogil:
    pthread_t pthread_self()
    int pthread_kill(pthread_t thread, int number)
    int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)

cdef extern from *:
    """
    #include <signal.h>
    static void kick_nothing(int number)
    {
        (void)number;
    }
    /* A real-time signal: Python leaves those alone.  No SA_RESTART, since
     * interrupting KVM_RUN is all it is for. */
    static int kick_signal(void)
    {
        return SIGRTMIN + 3;
    }
    static int kick_install(void)
    {
        struct sigaction action = { .sa_handler = kick_nothing };
        return sigaction(kick_signal(), &action, NULL);
    }
    static inline int stop_load(const int *stop)
    {
        return __atomic_load_n(stop, __ATOMIC_ACQUIRE);
    }
    static inline void stop_store(int *stop)
    {
        __atomic_store_n(stop, 1, __ATOMIC_RELEASE);
    }
    """
    int kick_signal() nogil
    int kick_install() nogil
    int stop_load(const int *stop) nogil
    void stop_store(int *stop) nogil

cdef enum:
    GO_ON
    STOPPED
    TRIPLE_FAULT
    HALTED
    GUEST_SHUTDOWN
    GUEST_RESET
    FAIL_ENTRY
    INTERNAL_ERROR
    UNKNOWN
    RUN_FAILED
    HANDLER_FAILED

_ENDS = {
    STOPPED: "stopped", TRIPLE_FAULT: "triple fault", HALTED: "halted",
    GUEST_SHUTDOWN: "shutdown", GUEST_RESET: "reset",
    FAIL_ENTRY: "entry failed", INTERNAL_ERROR: "internal error",
    UNKNOWN: "unknown exit", RUN_FAILED: "KVM_RUN failed",
    HANDLER_FAILED: "device failed",
}

_EXIT_NAMES = {
    KVM_EXIT_UNKNOWN: "unknown", KVM_EXIT_IO: "io", KVM_EXIT_DEBUG: "debug",
    KVM_EXIT_HLT: "hlt", KVM_EXIT_MMIO: "mmio",
    KVM_EXIT_IRQ_WINDOW_OPEN: "irq_window", KVM_EXIT_SHUTDOWN: "shutdown",
    KVM_EXIT_FAIL_ENTRY: "fail_entry", KVM_EXIT_INTR: "intr",
    KVM_EXIT_INTERNAL_ERROR: "internal_error",
    KVM_EXIT_SYSTEM_EVENT: "system_event",
}

kick_install()


cdef class VcpuThread:
    """Runs vcpu until it ends.

    on_end(thread) is called on the vCPU's thread once end, detail, regs and
    sregs are set.  end is "stopped", "triple fault", "halted", "shutdown",
    "reset", "entry failed", "internal error", "unknown exit",
    "KVM_RUN failed" or "device failed" (then error is the exception).
    """

    def __cinit__(self, Vcpu vcpu, Bus pio, Bus mmio, on_end=None):
        self.vcpu = vcpu
        self.detail = ""
        self.regs, self.sregs = {}, {}
        self._pio = pio
        self._mmio = mmio
        self._on_end = on_end
        self._mutex = threading.Lock()
        self._thread = threading.Thread(target=self._main, daemon=True,
                                        name=f"vcpu{vcpu.id}")

    def start(self):
        self._thread.start()

    def stop(self):
        """Make the thread leave KVM_RUN and end; returns at once."""
        with self._mutex:
            stop_store(&self._stop)
            if self._alive:
                self.vcpu.run.immediate_exit = 1
                pthread_kill(self._id, kick_signal())

    def join(self, timeout=None):
        """Wait for the end; False if it did not come in timeout seconds.  A
        thread that was never started has none to wait for."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def exits(self):
        """Exits to this process by kind."""
        return {_EXIT_NAMES.get(i, f"exit{i}"): self._exits[i]
                for i in range(EXIT_REASONS) if self._exits[i]}

    def _main(self):
        cdef int end
        with self._mutex:
            self._id = pthread_self()
            self._alive = True
        with nogil:
            _mask_signals()
            end = self._loop()
        with self._mutex:
            self._alive = False
        self._describe(end)
        self.end = _ENDS[end]
        if self._on_end is not None:
            self._on_end(self)

    def _describe(self, int end):
        cdef kvm_run *run = self.vcpu.run
        if end == RUN_FAILED:
            self.detail = os.strerror(-self._errno)
        elif end == UNKNOWN:
            self.detail = f"exit reason {run.exit_reason}"
            if run.exit_reason == KVM_EXIT_UNKNOWN:
                self.detail += f", hardware reason {run.hw.hardware_exit_reason:#x}"
        elif end == FAIL_ENTRY:
            self.detail = (f"hardware reason "
                           f"{run.fail_entry.hardware_entry_failure_reason:#x}")
        elif end == INTERNAL_ERROR:
            data = [f"{run.internal.data[i]:#x}"
                    for i in range(min(run.internal.ndata, 16))]
            self.detail = f"suberror {run.internal.suberror} [{' '.join(data)}]"
        elif end == HANDLER_FAILED:
            self.error = self._pio.failure or self._mmio.failure
            self.detail = f"{type(self.error).__name__}: {self.error}"
        try:
            self.regs, self.sregs = self.vcpu.get_regs(), self.vcpu.get_sregs()
        except OSError:
            # A vCPU too broken to be read still ends with its reason.
            pass

    cdef int _loop(self) noexcept nogil:
        cdef int result, end
        cdef kvm_run *run = self.vcpu.run
        while True:
            # KVM completes the last exit's I/O before it looks at
            # immediate_exit, so registers read after a stop are whole.
            if stop_load(&self._stop):
                run.immediate_exit = 1
            result = self.vcpu.run_nogil()
            if result == -EINTR or result == -EAGAIN:
                if stop_load(&self._stop):
                    return STOPPED
                continue
            if result < 0:
                self._errno = result
                return RUN_FAILED
            if run.exit_reason < EXIT_REASONS:
                self._exits[run.exit_reason] += 1
            end = self._handle()
            if end != GO_ON:
                return end

    cdef int _handle(self) noexcept nogil:
        cdef kvm_run *run = self.vcpu.run
        cdef unsigned int reason = run.exit_reason
        if reason == KVM_EXIT_IO:
            return self._port_io()
        if reason == KVM_EXIT_MMIO:
            if run.mmio.len > 8:
                return UNKNOWN
            self._mmio.access(run.mmio.phys_addr, run.mmio.data, run.mmio.len,
                              run.mmio.is_write != 0)
            return HANDLER_FAILED if self._mmio.failed() else GO_ON
        if reason == KVM_EXIT_INTR or reason == KVM_EXIT_IRQ_WINDOW_OPEN:
            return GO_ON
        if reason == KVM_EXIT_SHUTDOWN:
            return TRIPLE_FAULT
        if reason == KVM_EXIT_HLT:
            return HALTED
        if reason == KVM_EXIT_FAIL_ENTRY:
            return FAIL_ENTRY
        if reason == KVM_EXIT_INTERNAL_ERROR:
            return INTERNAL_ERROR
        if reason == KVM_EXIT_SYSTEM_EVENT:
            if run.system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN:
                return GUEST_SHUTDOWN
            if run.system_event.type == KVM_SYSTEM_EVENT_RESET:
                return GUEST_RESET
        return UNKNOWN

    cdef int _port_io(self) noexcept nogil:
        # A string instruction arrives as count accesses to one port.
        cdef kvm_run *run = self.vcpu.run
        cdef unsigned int i, size = run.io.size, count = run.io.count
        cdef uint64_t offset = run.io.data_offset
        cdef uint8_t *data = <uint8_t *>run
        if (size == 0 or size > 4 or offset > self.vcpu.run_size
                or <uint64_t>size * count > self.vcpu.run_size - offset):
            return UNKNOWN
        data += offset
        for i in range(count):
            self._pio.access(run.io.port, data + i * size, size,
                             run.io.direction == KVM_EXIT_IO_OUT)
        return HANDLER_FAILED if self._pio.failed() else GO_ON


cdef void _mask_signals() noexcept nogil:
    # Ctrl-C and its like belong to the main thread; a vCPU gets only the kick.
    cdef sigset_t mask
    sigfillset(&mask)
    sigdelset(&mask, kick_signal())
    pthread_sigmask(SIG_SETMASK, &mask, NULL)
