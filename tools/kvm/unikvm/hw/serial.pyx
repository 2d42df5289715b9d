# SPDX-License-Identifier: GPL-2.0-only
# cython: language_level=3
"""A 16550A serial port (National Semiconductor PC16550D data sheet).

Without the GIL: a kernel that logs to it makes two exits a byte, which in
Python took most of a guest's boot.  Output collects in a ring that the event
loop empties into the backend; a full ring keeps the transmitter busy, which is
all the flow control a guest's driver knows.
"""
import os

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, itimerspec
from posix.unistd cimport close

from unikvm.core.bus cimport Device
from unikvm.core.irq cimport IrqLine
from unikvm.core.pthread cimport (pthread_mutex_destroy, pthread_mutex_init,
                                  pthread_mutex_lock, pthread_mutex_t,
                                  pthread_mutex_unlock)
from unikvm.core.timerfd cimport TFD_CLOEXEC, TFD_NONBLOCK, timerfd_create, timerfd_settime

cdef enum:
    # Registers; the divisor latch hides the first two while LCR.DLAB is set.
    DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR

cdef enum:
    IER_RX = 1
    IER_TX = 2
    IER_LINE = 4
    IER_MODEM = 8
    IIR_MODEM = 0
    IIR_NONE = 1
    IIR_TX = 2
    IIR_RX = 4
    IIR_LINE = 6
    IIR_TIMEOUT = 12
    IIR_FIFO = 0xC0
    FCR_ENABLE = 1
    FCR_CLEAR_RX = 2
    LCR_DLAB = 0x80
    MCR_DTR = 1
    MCR_RTS = 2
    MCR_OUT1 = 4
    MCR_OUT2 = 8
    MCR_LOOP = 16
    LSR_DATA = 1
    LSR_OVERRUN = 2
    LSR_TX_EMPTY = 0x20
    LSR_IDLE = 0x40
    MSR_CTS = 0x10
    MSR_DSR = 0x20
    MSR_RI = 0x40
    MSR_DCD = 0x80

cdef enum:
    FIFO_SIZE = 16
    TX_RING = 8192
    # How long output may wait to go out together, in nanoseconds.
    BATCH_NS = 4000000

cdef unsigned int RX_TRIGGERS[4]
RX_TRIGGERS[:] = [1, 4, 8, 14]


cdef class Serial(Device):
    """Eight byte-wide registers; register it with max_width 1.

    loop: the event loop that serves the backend, or None to serve it at each
    access (tests).  All state is under the mutex; the line is driven with it
    held, the backend is called without it.
    """
    SIZE = 8

    cdef IrqLine _line
    cdef object _backend
    cdef object _loop
    cdef int _timer
    cdef bint _armed
    cdef pthread_mutex_t _mutex
    cdef unsigned int _divisor
    cdef uint8_t _ier, _lcr, _mcr, _scr, _fcr, _msr_delta
    # The transmitter's interrupt is an event: armed when it runs empty, gone
    # once IIR reported it.
    cdef bint _tx_event
    cdef bint _overrun
    # The receiver had no room, or gave some back: ask the backend for more.
    cdef bint _want_input
    cdef uint8_t _rx[FIFO_SIZE]
    cdef unsigned int _rx_head, _rx_count
    cdef uint8_t _tx[TX_RING]
    cdef unsigned int _tx_head, _tx_count

    def __cinit__(self, IrqLine line not None, backend, loop=None):
        self._timer = -1
        pthread_mutex_init(&self._mutex, NULL)
        self._line = line
        self._backend = backend
        self._loop = loop
        self._divisor = 12  # 9600 baud, as BIOSes leave it

    def __init__(self, line, backend, loop=None):
        if loop is not None:
            self._timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)
            if self._timer < 0:
                raise OSError("timerfd_create")
            loop.add(self._timer, self._expired)
        backend.attach(loop, self.receive, self.serve)

    def __dealloc__(self):
        pthread_mutex_destroy(&self._mutex)
        if self._timer >= 0:
            close(self._timer)

    cdef uint64_t io_read(self, uint64_t offset, unsigned int width) noexcept nogil:
        cdef uint64_t value
        pthread_mutex_lock(&self._mutex)
        value = self._read(offset)
        self._update()
        pthread_mutex_unlock(&self._mutex)
        self._kick()
        return value

    cdef void io_write(self, uint64_t offset, unsigned int width,
                       uint64_t value) noexcept nogil:
        pthread_mutex_lock(&self._mutex)
        self._write(offset, <uint8_t>value)
        self._update()
        pthread_mutex_unlock(&self._mutex)
        self._kick()

    # The backend's side

    def receive(self, bytes data):
        """Bytes from the backend: how many fitted."""
        cdef unsigned int taken = 0, room
        cdef const uint8_t *source = data
        cdef Py_ssize_t length = len(data)
        with nogil:
            pthread_mutex_lock(&self._mutex)
            room = 0 if self._mcr & MCR_LOOP else self._rx_room()
            while taken < room and taken < length:
                self._rx_put(source[taken])
                taken += 1
            self._update()
            pthread_mutex_unlock(&self._mutex)
        return taken

    def serve(self):
        """Hand output to the backend until it is full; ask it for input."""
        while not self._backend.full:
            data = self._take_output()
            if not data:
                break
            self._backend.write(data)
        with nogil:
            pthread_mutex_lock(&self._mutex)
            want, self._want_input = self._want_input, False
            pthread_mutex_unlock(&self._mutex)
        if want:
            self._backend.resume()

    def stop(self):
        """The machine's end: everything written goes to the backend, under the
        machine lock.  Output after this stays in the ring."""
        while data := self._take_output():
            self._backend.write(data)
        if self._timer >= 0:
            self._loop.remove(self._timer)
            close(self._timer)
            self._timer = -1

    cdef bytes _take_output(self):
        cdef uint8_t chunk[TX_RING]
        cdef unsigned int count = 0
        cdef bint was_full
        with nogil:
            pthread_mutex_lock(&self._mutex)
            was_full = self._tx_count == TX_RING
            while self._tx_count:
                chunk[count] = self._tx[self._tx_head]
                self._tx_head = (self._tx_head + 1) % TX_RING
                self._tx_count -= 1
                count += 1
            if was_full:
                self._tx_event = True
                self._update()
            pthread_mutex_unlock(&self._mutex)
        return chunk[:count]

    def _expired(self, events):
        try:
            os.read(self._timer, 8)
        except BlockingIOError:
            pass
        self._armed = False
        self.serve()

    cdef void _kick(self) noexcept nogil:
        """Have serve() called: soon for input or a filling ring, else with
        what comes in the meantime."""
        cdef itimerspec when
        cdef bint urgent = self._want_input or self._tx_count == TX_RING // 2
        if not self._want_input and self._tx_count == 0:
            return
        if self._loop is None:
            with gil:
                self.serve()
            return
        # Unlocked: a race arms the timer twice, or for a batch just taken.
        if self._armed and not urgent:
            return
        self._armed = True
        memset(&when, 0, sizeof(when))
        when.it_value.tv_nsec = 1 if urgent else BATCH_NS
        timerfd_settime(self._timer, 0, &when, NULL)

    # Registers, under the mutex

    cdef uint8_t _read(self, uint64_t offset) noexcept nogil:
        if offset <= IER and self._lcr & LCR_DLAB:
            return <uint8_t>(self._divisor >> (8 * offset))
        if offset == DATA:
            return self._rx_take()
        if offset == IER:
            return self._ier
        if offset == IIR_FCR:
            return self._read_iir()
        if offset == LCR:
            return self._lcr
        if offset == MCR:
            return self._mcr
        if offset == LSR:
            return self._read_lsr()
        if offset == MSR:
            return self._read_msr()
        return self._scr

    cdef void _write(self, uint64_t offset, uint8_t value) noexcept nogil:
        if offset <= IER and self._lcr & LCR_DLAB:
            self._divisor &= ~(0xffu << (8 * offset))
            self._divisor |= <unsigned int>value << (8 * offset)
        elif offset == DATA:
            self._transmit(value)
        elif offset == IER:
            if value & ~self._ier & IER_TX and self._tx_count < TX_RING:
                # Enabling the interrupt with an empty transmitter fires it.
                self._tx_event = True
            self._ier = value & 0x0F
        elif offset == IIR_FCR:
            self._write_fcr(value)
        elif offset == LCR:
            self._lcr = value
        elif offset == MCR:
            self._write_mcr(value)
        elif offset == SCR:
            self._scr = value

    cdef void _transmit(self, uint8_t value) noexcept nogil:
        if self._mcr & MCR_LOOP:
            self._rx_put(value)
        elif self._tx_count < TX_RING:
            self._tx[(self._tx_head + self._tx_count) % TX_RING] = value
            self._tx_count += 1
        # A byte written while busy is lost, as on the chip.
        self._tx_event = self._tx_count < TX_RING

    cdef void _write_fcr(self, uint8_t value) noexcept nogil:
        if (value ^ self._fcr) & FCR_ENABLE or value & FCR_CLEAR_RX:
            self._rx_count = 0
            self._want_input = True
        self._fcr = value & (0xC0 | FCR_ENABLE) if value & FCR_ENABLE else 0

    cdef void _write_mcr(self, uint8_t value) noexcept nogil:
        cdef uint8_t before = self._modem_lines(), after, changed
        self._mcr = value & 0x1F
        after = self._modem_lines()
        changed = before ^ after
        # CTS, DSR and DCD report any edge, RI only the trailing one.
        if changed & MSR_RI and after & MSR_RI:
            changed &= <uint8_t>~MSR_RI
        self._msr_delta |= changed >> 4
        if not self._mcr & MCR_LOOP:
            self._want_input = True

    cdef uint8_t _modem_lines(self) noexcept nogil:
        if not self._mcr & MCR_LOOP:
            return MSR_CTS | MSR_DSR | MSR_DCD
        return ((MSR_CTS if self._mcr & MCR_RTS else 0)
                | (MSR_DSR if self._mcr & MCR_DTR else 0)
                | (MSR_RI if self._mcr & MCR_OUT1 else 0)
                | (MSR_DCD if self._mcr & MCR_OUT2 else 0))

    cdef uint8_t _read_iir(self) noexcept nogil:
        cdef uint8_t cause = self._cause()
        if cause == IIR_TX:
            self._tx_event = False
        return cause | (IIR_FIFO if self._fcr & FCR_ENABLE else 0)

    cdef uint8_t _read_lsr(self) noexcept nogil:
        cdef uint8_t value = LSR_DATA if self._rx_count else 0
        if self._overrun:
            value |= LSR_OVERRUN
            self._overrun = False
        if self._tx_count < TX_RING:
            value |= LSR_TX_EMPTY | LSR_IDLE
        return value

    cdef uint8_t _read_msr(self) noexcept nogil:
        cdef uint8_t value = self._modem_lines() | self._msr_delta
        self._msr_delta = 0
        return value

    # Receiver

    cdef unsigned int _rx_room(self) noexcept nogil:
        cdef unsigned int size = FIFO_SIZE if self._fcr & FCR_ENABLE else 1
        return size - self._rx_count if self._rx_count < size else 0

    cdef void _rx_put(self, uint8_t value) noexcept nogil:
        if self._rx_room() == 0:
            self._overrun = True
            return
        self._rx[(self._rx_head + self._rx_count) % FIFO_SIZE] = value
        self._rx_count += 1

    cdef uint8_t _rx_take(self) noexcept nogil:
        cdef uint8_t value
        if self._rx_count == 0:
            return 0
        value = self._rx[self._rx_head]
        self._rx_head = (self._rx_head + 1) % FIFO_SIZE
        self._rx_count -= 1
        if self._rx_count == 0:
            self._want_input = True
        return value

    # Interrupt

    cdef uint8_t _cause(self) noexcept nogil:
        """The highest-priority pending interrupt as IIR shows it."""
        cdef unsigned int trigger = 1
        if self._ier & IER_LINE and self._overrun:
            return IIR_LINE
        if self._ier & IER_RX and self._rx_count:
            # Below the trigger level the character timeout speaks; it passes
            # at once, as time does between two exits.
            if self._fcr & FCR_ENABLE:
                trigger = RX_TRIGGERS[self._fcr >> 6]
            return IIR_RX if self._rx_count >= trigger else IIR_TIMEOUT
        if self._ier & IER_TX and self._tx_event:
            return IIR_TX
        if self._ier & IER_MODEM and self._msr_delta:
            return IIR_MODEM
        return IIR_NONE

    cdef void _update(self) noexcept nogil:
        # On a PC, OUT2 gates the interrupt pin; in loopback it is cut off.
        cdef bint gate = self._mcr & MCR_OUT2 and not self._mcr & MCR_LOOP
        self._line.drive(1 if gate and self._cause() != IIR_NONE else 0)
