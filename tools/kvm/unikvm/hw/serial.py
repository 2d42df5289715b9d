# SPDX-License-Identifier: GPL-2.0-only
"""A 16550A serial port (National Semiconductor PC16550D data sheet).

Sending takes no time, except while the backend is full: then the transmitter
stays busy, which is all the flow control a guest's driver knows.
"""
from __future__ import annotations

from collections import deque

from ..core.chardev import CharBackend
from ..core.irq import IrqLine

# Register offsets; the divisor latch hides the first two while LCR.DLAB is set.
DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR = range(8)

IER_RX, IER_TX, IER_LINE, IER_MODEM = 1, 2, 4, 8
IIR_NONE, IIR_MODEM, IIR_TX, IIR_RX, IIR_LINE, IIR_TIMEOUT = 1, 0, 2, 4, 6, 12
IIR_FIFO = 0xC0
FCR_ENABLE, FCR_CLEAR_RX, FCR_CLEAR_TX = 1, 2, 4
LCR_DLAB = 0x80
MCR_DTR, MCR_RTS, MCR_OUT1, MCR_OUT2, MCR_LOOP = 1, 2, 4, 8, 16
LSR_DATA, LSR_OVERRUN, LSR_TX_EMPTY, LSR_IDLE = 1, 2, 0x20, 0x40
MSR_CTS, MSR_DSR, MSR_RI, MSR_DCD = 0x10, 0x20, 0x40, 0x80

FIFO_SIZE = 16
RX_TRIGGERS = (1, 4, 8, 14)


class Serial:
    """Eight byte-wide registers; register it with max_width 1."""

    SIZE = 8

    def __init__(self, line: IrqLine, backend: CharBackend, loop=None) -> None:
        self._line = line
        self._backend = backend
        self.reset()
        backend.attach(loop, self.receive, self._drained)

    def reset(self) -> None:
        """The state after power-on (data sheet, table III)."""
        self._divisor = 12  # 9600 baud, as BIOSes leave it
        self._ier = self._lcr = self._mcr = self._scr = self._fcr = 0
        self._rx: deque[int] = deque()
        self._overrun = self._tx_busy = False
        # The transmitter's interrupt is an event: armed when it runs empty,
        # gone once IIR reported it.
        self._tx_event = False
        self._msr_delta = 0
        self._update()

    def read(self, offset: int, _width: int) -> int:
        """One register; reading DATA, IIR, LSR and MSR changes state."""
        if offset in (DATA, IER) and self._lcr & LCR_DLAB:
            return self._divisor >> (8 * offset) & 0xFF
        return self._READERS[offset](self)

    def write(self, offset: int, _width: int, value: int) -> None:
        """One register; LSR and MSR are read-only."""
        if offset in (DATA, IER) and self._lcr & LCR_DLAB:
            shift = 8 * offset
            self._divisor = self._divisor & ~(0xFF << shift) | value << shift
        elif offset == DATA:
            self._transmit(value)
        elif offset == IER:
            self._write_ier(value)
        elif offset == IIR_FCR:
            self._write_fcr(value)
        elif offset == LCR:
            self._lcr = value
        elif offset == MCR:
            self._write_mcr(value)
        elif offset == SCR:
            self._scr = value
        self._update()

    # Input

    def receive(self, data: bytes) -> int:
        """Bytes from the backend: how many fitted."""
        if self._mcr & MCR_LOOP:
            return 0
        room = (FIFO_SIZE if self._fcr & FCR_ENABLE else 1) - len(self._rx)
        taken = data[:max(room, 0)]
        self._rx.extend(taken)
        self._update()
        return len(taken)

    def _read_data(self) -> int:
        value = self._rx.popleft() if self._rx else 0
        if not self._rx:
            self._backend.resume()
        self._update()
        return value

    # Output

    def _transmit(self, value: int) -> None:
        self._tx_event = False
        if self._mcr & MCR_LOOP:
            if len(self._rx) < FIFO_SIZE:
                self._rx.append(value)
            else:
                self._overrun = True
        else:
            self._backend.write(bytes((value,)))
            self._tx_busy = self._backend.full
        self._tx_event = not self._tx_busy

    def _drained(self) -> None:
        self._tx_busy = False
        self._tx_event = True
        self._update()

    # Registers

    def _write_ier(self, value: int) -> None:
        if value & ~self._ier & IER_TX and not self._tx_busy:
            # Enabling the interrupt with an empty transmitter fires it.
            self._tx_event = True
        self._ier = value & 0x0F

    def _write_fcr(self, value: int) -> None:
        if (value ^ self._fcr) & FCR_ENABLE or value & FCR_CLEAR_RX:
            self._rx.clear()
            self._backend.resume()
        self._fcr = value & (0xC0 | FCR_ENABLE) if value & FCR_ENABLE else 0

    def _write_mcr(self, value: int) -> None:
        before = self._modem_lines()
        self._mcr = value & 0x1F
        changed = before ^ self._modem_lines()
        # CTS, DSR, DCD report any edge; RI only the trailing one.
        self._msr_delta |= (changed >> 4 & 0b1011) | (changed & before) >> 4 & 0b0100
        if not self._mcr & MCR_LOOP:
            self._backend.resume()

    def _modem_lines(self) -> int:
        if not self._mcr & MCR_LOOP:
            return MSR_CTS | MSR_DSR | MSR_DCD
        pairs = ((MCR_RTS, MSR_CTS), (MCR_DTR, MSR_DSR), (MCR_OUT1, MSR_RI),
                 (MCR_OUT2, MSR_DCD))
        return sum(line for output, line in pairs if self._mcr & output)

    def _cause(self) -> int:
        """The highest-priority pending interrupt as IIR shows it."""
        if self._ier & IER_LINE and self._overrun:
            return IIR_LINE
        if self._ier & IER_RX and self._rx:
            # Below the trigger level the character timeout speaks; it passes
            # at once, as time does between two exits.
            trigger = RX_TRIGGERS[self._fcr >> 6] if self._fcr & FCR_ENABLE else 1
            return IIR_RX if len(self._rx) >= trigger else IIR_TIMEOUT
        if self._ier & IER_TX and self._tx_event:
            return IIR_TX
        if self._ier & IER_MODEM and self._msr_delta:
            return IIR_MODEM
        return IIR_NONE

    def _read_iir(self) -> int:
        cause = self._cause()
        if cause == IIR_TX:
            self._tx_event = False
            self._update()
        return cause | (IIR_FIFO if self._fcr & FCR_ENABLE else 0)

    def _read_lsr(self) -> int:
        value = LSR_DATA if self._rx else 0
        if self._overrun:
            value |= LSR_OVERRUN
        if not self._tx_busy:
            value |= LSR_TX_EMPTY | LSR_IDLE
        self._overrun = False
        self._update()
        return value

    def _read_msr(self) -> int:
        value = self._modem_lines() | self._msr_delta
        self._msr_delta = 0
        self._update()
        return value

    def _update(self) -> None:
        # On a PC, OUT2 gates the interrupt pin; in loopback it is cut off.
        gate = self._mcr & MCR_OUT2 and not self._mcr & MCR_LOOP
        self._line.set(bool(gate and self._cause() != IIR_NONE))

    _READERS = (_read_data, lambda self: self._ier, _read_iir, lambda self: self._lcr,
                lambda self: self._mcr, _read_lsr, _read_msr, lambda self: self._scr)
