# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's interrupt-chip logic as Python objects, over the host library."""

import ctypes
from ctypes import (POINTER, Structure, c_bool, c_int, c_int64, c_uint8, c_uint16, c_uint32,
                    c_uint64, c_void_p)
from dataclasses import dataclass

FIXED, LOWEST, SMI, RESERVED, NMI, INIT, SIPI, EXTINT = range(8)


class PicState(Structure):
    """struct kvm_pic_state"""
    _fields_ = [(name, c_uint8) for name in (
        "last_irr", "irr", "imr", "isr", "priority_add", "irq_base", "read_reg_select", "poll",
        "special_mask", "init_state", "auto_eoi", "rotate_on_auto_eoi",
        "special_fully_nested_mode", "init4", "elcr", "elcr_mask")]


class PitChannel(Structure):
    """struct kvm_pit_channel_state"""
    _fields_ = [("count", c_uint32), ("latched_count", c_uint16)] + [(name, c_uint8) for name in (
        "count_latched", "status_latched", "status", "read_state", "write_state", "write_latch",
        "rw_mode", "mode", "bcd", "gate")] + [("count_load_time", c_int64)]


class PitState(Structure):
    """struct kvm_pit_state2"""
    _fields_ = [("channels", PitChannel * 3), ("flags", c_uint32), ("reserved", c_uint32 * 9)]


class IoapicState(Structure):
    """struct kvm_ioapic_state"""
    _fields_ = [("base_address", c_uint64), ("ioregsel", c_uint32), ("id", c_uint32),
                ("irr", c_uint32), ("pad", c_uint32), ("redirtbl", c_uint64 * 24)]


class ApicIrq(Structure):
    """struct apic_irq of lapic_logic.h"""
    _fields_ = [("dest", c_uint32), ("vector", c_uint8), ("mode", c_uint8), ("shorthand", c_uint8),
                ("logical", c_bool), ("level_trig", c_bool), ("assert_", c_bool),
                ("lowest_hint", c_bool), ("ipi", c_bool)]


LapicState = c_uint8 * 1024     # struct kvm_lapic_state

SIGNATURES = {
    "glue_pic_new": (c_void_p, []),
    "glue_pic_output": (c_bool, [c_void_p]),
    "glue_pic_acked": (c_uint16, [c_void_p]),
    "pic_logic_set_line": (c_int, [c_void_p, c_uint32, c_bool]),
    "pic_logic_inta": (c_uint8, [c_void_p]),
    "pic_logic_read": (c_uint8, [c_void_p, c_uint16]),
    "pic_logic_write": (None, [c_void_p, c_uint16, c_uint8]),
    "pic_logic_get": (None, [c_void_p, c_uint32, POINTER(PicState)]),
    "pic_logic_set": (None, [c_void_p, c_uint32, POINTER(PicState)]),
    "glue_pit_new": (c_void_p, [c_int64]),
    "glue_pit_out": (c_bool, [c_void_p, c_uint32, c_int64]),
    "glue_pit_count": (c_uint32, [c_void_p, c_uint32, c_int64]),
    "pit_logic_read": (c_uint8, [c_void_p, c_uint32, c_int64]),
    "pit_logic_write": (c_bool, [c_void_p, c_uint32, c_uint8, c_int64]),
    "pit_logic_speaker_read": (c_uint8, [c_void_p, c_int64]),
    "pit_logic_speaker_write": (None, [c_void_p, c_uint8, c_int64]),
    "pit_logic_plan": (c_bool, [c_void_p, POINTER(c_uint64 * 2)]),
    "pit_logic_get": (None, [c_void_p, POINTER(PitState)]),
    "pit_logic_set": (None, [c_void_p, POINTER(PitState), c_int64]),
    "glue_lapic_new": (c_void_p, [c_uint32, c_bool, c_bool]),
    "glue_lapic_has_deadline": (None, [c_void_p, c_bool]),
    "glue_lapic_raw": (c_uint32, [c_void_p, c_uint32]),
    "lapic_logic_reset": (None, [c_void_p, c_bool, c_bool]),
    "lapic_logic_set_base": (c_uint32, [c_void_p, c_uint64, c_uint64]),
    "lapic_logic_read": (c_uint32, [c_void_p, c_uint32, c_uint32]),
    "lapic_logic_write": (c_uint32, [c_void_p, c_uint32, c_uint32]),
    "lapic_logic_msr_read": (c_int, [c_void_p, c_uint32, c_uint32, POINTER(c_uint64)]),
    "lapic_logic_msr_write": (c_int, [c_void_p, c_uint32, c_uint64, POINTER(c_uint32)]),
    "lapic_vector_set": (None, [c_void_p, c_uint32, c_uint8]),
    "lapic_vector_clear": (None, [c_void_p, c_uint32, c_uint8]),
    "lapic_vector_test": (c_bool, [c_void_p, c_uint32, c_uint8]),
    "lapic_highest_vector": (c_int, [c_void_p, c_uint32]),
    "lapic_logic_ppr": (c_uint32, [c_void_p]),
    "lapic_logic_pending": (c_int, [c_void_p]),
    "lapic_logic_ack": (c_int, [c_void_p]),
    "lapic_logic_eoi": (c_int, [c_void_p, POINTER(c_bool)]),
    "lapic_logic_error": (None, [c_void_p, c_uint32]),
    "lapic_logic_match": (c_bool, [c_void_p, POINTER(ApicIrq), c_bool]),
    "lapic_icr_decode": (None, [c_void_p, POINTER(ApicIrq)]),
    "lapic_msi_decode": (None, [c_uint64, c_uint32, c_bool, POINTER(ApicIrq)]),
    "lapic_timer_shift": (c_uint32, [c_void_p]),
    "lapic_timer_period_ns": (c_uint64, [c_void_p]),
    "lapic_timer_count": (c_uint32, [c_void_p, c_uint64]),
    "lapic_tsc_to_ns": (c_uint64, [c_uint64, c_uint32]),
    "lapic_state_get": (None, [c_void_p, c_uint32, c_bool, POINTER(LapicState)]),
    "lapic_state_set": (c_int, [c_void_p, c_bool, POINTER(LapicState)]),
    "glue_ioapic_new": (c_void_p, []),
    "glue_ioapic_answer": (None, [c_void_p, c_int]),
    "glue_ioapic_sent": (c_uint32, [c_void_p]),
    "glue_ioapic_message": (POINTER(ApicIrq), [c_void_p, c_uint32]),
    "glue_ioapic_logic": (c_void_p, [c_void_p]),
    "glue_ioapic_entry": (c_uint64, [c_void_p, c_uint32]),
    "ioapic_logic_set_line": (c_int, [c_void_p, c_uint32, c_bool]),
    "ioapic_logic_read": (c_uint32, [c_void_p, c_uint32]),
    "ioapic_logic_write": (c_uint32, [c_void_p, c_uint32, c_uint32]),
    "ioapic_logic_vector_pins": (c_uint32, [c_void_p, c_uint8]),
    "ioapic_logic_eoi": (c_uint32, [c_void_p, c_uint32]),
    "ioapic_logic_retry": (None, [c_void_p, c_uint32]),
    "ioapic_logic_get": (None, [c_void_p, POINTER(IoapicState)]),
    "ioapic_logic_set": (None, [c_void_p, POINTER(IoapicState)]),
}

_free = ctypes.CDLL(None).free
_free.argtypes = [c_void_p]
_free.restype = None


def declare(lib: ctypes.CDLL) -> ctypes.CDLL:
    """Give the library's functions their types, once."""
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class Chip:
    """A heap object of the library, freed with its Python owner."""

    def __init__(self, lib: ctypes.CDLL, obj: int) -> None:
        assert obj, "out of memory"
        self.lib, self.obj = lib, obj

    def __del__(self) -> None:
        _free(self.obj)


class Pic(Chip):
    """Two 8259As."""

    def __init__(self, lib: ctypes.CDLL) -> None:
        super().__init__(lib, lib.glue_pic_new())

    def line(self, pin: int, level: bool) -> int:
        """Drive a line: -1 masked, 0 already pending, 1 news."""
        return self.lib.pic_logic_set_line(self.obj, pin, level)

    def pulse(self, pin: int) -> int:
        """An edge; the answer of its rise."""
        result = self.line(pin, True)
        self.line(pin, False)
        return result

    def inta(self) -> int:
        """One acknowledge cycle: the vector."""
        return self.lib.pic_logic_inta(self.obj)

    def read(self, port: int) -> int:
        """IN from a port, 8 bits."""
        return self.lib.pic_logic_read(self.obj, port)

    def write(self, port: int, value: int) -> None:
        """OUT to a port, 8 bits."""
        self.lib.pic_logic_write(self.obj, port, value)

    @property
    def output(self) -> bool:
        """The master's INTR."""
        return self.lib.glue_pic_output(self.obj)

    def acked(self) -> int:
        """Pins that left service since the last call, 16 bits."""
        return self.lib.glue_pic_acked(self.obj)

    def get(self, chip: int) -> PicState:
        """KVM_GET_IRQCHIP of one chip."""
        state = PicState()
        self.lib.pic_logic_get(self.obj, chip, state)
        return state

    def set(self, chip: int, state: PicState) -> None:
        """KVM_SET_IRQCHIP of one chip."""
        self.lib.pic_logic_set(self.obj, chip, state)


class Pit(Chip):
    """An 8254; times are in ns."""

    def __init__(self, lib: ctypes.CDLL, now: int = 0) -> None:
        super().__init__(lib, lib.glue_pit_new(now))

    def out(self, channel: int, now: int) -> bool:
        """The channel's output pin."""
        return self.lib.glue_pit_out(self.obj, channel, now)

    def count(self, channel: int, now: int) -> int:
        """The channel's counter, 16 bits."""
        return self.lib.glue_pit_count(self.obj, channel, now)

    def read(self, port: int, now: int) -> int:
        """IN from port 40h + port, 8 bits."""
        return self.lib.pit_logic_read(self.obj, port, now)

    def write(self, port: int, value: int, now: int) -> bool:
        """OUT to port 40h + port; true if channel 0's interrupts changed."""
        return self.lib.pit_logic_write(self.obj, port, value, now)

    def program(self, channel: int, mode: int, count: int, now: int, bcd: bool = False) -> bool:
        """Control word and both halves of the count."""
        self.write(3, channel << 6 | 0x30 | mode << 1 | bcd, now)
        self.write(channel, count & 0xff, now)
        return self.write(channel, count >> 8 & 0xff, now)

    def speaker_read(self, now: int) -> int:
        """IN from port 61h."""
        return self.lib.pit_logic_speaker_read(self.obj, now)

    def speaker_write(self, value: int, now: int) -> None:
        """OUT to port 61h."""
        self.lib.pit_logic_speaker_write(self.obj, value, now)

    def plan(self) -> tuple[int, int] | None:
        """(delay, period) in ns of channel 0's interrupts; None: none come."""
        plan = (c_uint64 * 2)()
        return (plan[0], plan[1]) if self.lib.pit_logic_plan(self.obj, plan) else None

    def get(self) -> PitState:
        """KVM_GET_PIT2"""
        state = PitState()
        self.lib.pit_logic_get(self.obj, state)
        return state

    def set(self, state: PitState, now: int) -> None:
        """KVM_SET_PIT2"""
        self.lib.pit_logic_set(self.obj, state, now)


class Lapic(Chip):
    """One local APIC."""

    def __init__(self, lib: ctypes.CDLL, apic_id: int = 0, x2apic: bool = False, bsp: bool = True) -> None:
        super().__init__(lib, lib.glue_lapic_new(apic_id, x2apic, bsp))

    def __getattr__(self, name: str):
        """lapic.ppr() is lapic_logic_ppr(lapic) and so on."""
        for prefix in ("lapic_logic_", "lapic_", "glue_lapic_"):
            if prefix + name in SIGNATURES:
                function = getattr(self.lib, prefix + name)
                return lambda *args: function(self.obj, *args)
        raise AttributeError(name)

    def read(self, reg: int, tmcct: int = 0) -> int:
        """An xAPIC register, 32 bits."""
        return self.lib.lapic_logic_read(self.obj, reg, tmcct)

    def eoi(self) -> tuple[int, bool]:
        """Vector out of service or -1, and whether it was level-triggered."""
        level = c_bool(True)
        vector = self.lib.lapic_logic_eoi(self.obj, ctypes.byref(level))
        return vector, level.value

    def rdmsr(self, msr: int, tmcct: int = 0) -> int | None:
        """An x2APIC MSR; None: #GP."""
        data = c_uint64()
        return None if self.lib.lapic_logic_msr_read(self.obj, msr, tmcct, data) else data.value

    def wrmsr(self, msr: int, data: int) -> int | None:
        """Write an x2APIC MSR; its actions, or None for #GP."""
        actions = c_uint32()
        return None if self.lib.lapic_logic_msr_write(self.obj, msr, data, actions) else actions.value

    def matches(self, dest: int, logical: bool = False, quirk: bool = False, ipi: bool = True) -> bool:
        """Would it take a message for this destination?"""
        irq = ApicIrq(dest=dest, logical=logical, ipi=ipi)
        return self.lib.lapic_logic_match(self.obj, irq, quirk)

    def icr(self) -> ApicIrq:
        """What the interrupt command register would send."""
        irq = ApicIrq()
        self.lib.lapic_icr_decode(self.obj, irq)
        return irq

    def get(self, dest32: bool = False, tmcct: int = 0) -> bytes:
        """KVM_GET_LAPIC"""
        state = LapicState()
        self.lib.lapic_state_get(self.obj, tmcct, dest32, state)
        return bytes(state)

    def set(self, state: bytes, dest32: bool = False) -> int:
        """KVM_SET_LAPIC: 0 or a negative errno."""
        return self.lib.lapic_state_set(self.obj, dest32, LapicState.from_buffer_copy(state))


@dataclass(frozen=True)
class Message:
    """What an IOAPIC sent."""
    dest: int
    vector: int
    mode: int
    logical: bool
    level: bool


class Ioapic(Chip):
    """An IOAPIC whose messages are logged instead of delivered."""

    def __init__(self, lib: ctypes.CDLL) -> None:
        super().__init__(lib, lib.glue_ioapic_new())
        self.logic = lib.glue_ioapic_logic(self.obj)

    def answer(self, value: int) -> None:
        """What the local APICs return from now on."""
        self.lib.glue_ioapic_answer(self.obj, value)

    def line(self, pin: int, level: bool) -> int:
        """Drive a line; as kvm_set_irq()."""
        return self.lib.ioapic_logic_set_line(self.logic, pin, level)

    def select(self, index: int) -> None:
        """IOREGSEL"""
        self.lib.ioapic_logic_write(self.logic, 0, index)

    def window(self) -> int:
        """IOWIN of the selected register."""
        return self.lib.ioapic_logic_read(self.logic, 0x10)

    def register(self, index: int) -> int:
        """Select and read."""
        self.select(index)
        return self.window()

    def write_register(self, index: int, value: int) -> int:
        """Select and write; the pins that it unmasked."""
        self.select(index)
        return self.lib.ioapic_logic_write(self.logic, 0x10, value)

    def program(self, pin: int, entry: int) -> None:
        """A redirection entry as Linux writes it: high half first."""
        self.write_register(0x11 + 2 * pin, entry >> 32)
        self.write_register(0x10 + 2 * pin, entry & 0xffffffff)

    def entry(self, pin: int) -> int:
        """A redirection entry, 64 bits."""
        return self.lib.glue_ioapic_entry(self.obj, pin)

    def eoi(self, vector: int) -> int:
        """The broadcast EOI of a level vector; pins put off."""
        pins = self.lib.ioapic_logic_vector_pins(self.logic, vector)
        return self.lib.ioapic_logic_eoi(self.logic, pins)

    def retry(self, pins: int) -> None:
        """The time after which put-off pins are looked at again."""
        self.lib.ioapic_logic_retry(self.logic, pins)

    @property
    def sent(self) -> int:
        """Messages so far."""
        return self.lib.glue_ioapic_sent(self.obj)

    def message(self, index: int = -1) -> Message:
        """A message of the log, the last one by default."""
        irq = self.lib.glue_ioapic_message(self.obj, index % self.sent).contents
        return Message(irq.dest, irq.vector, irq.mode, irq.logical, irq.level_trig)

    def get(self) -> IoapicState:
        """KVM_GET_IRQCHIP"""
        state = IoapicState()
        self.lib.ioapic_logic_get(self.logic, state)
        return state

    def set(self, state: IoapicState) -> None:
        """KVM_SET_IRQCHIP"""
        self.lib.ioapic_logic_set(self.logic, state)
