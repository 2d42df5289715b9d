# SPDX-License-Identifier: GPL-2.0-only
"""Two 8259As, modelled from Intel's data sheet (231468-003) and independently of the kernel's code.

Priority is an explicit list of inputs, requests are found by walking it. PC
particulars: ICW3 is accepted and ignored (the wiring is fixed), ELCR ports as in
the PIIX3 data sheet, an edge stays latched after its line has fallen.
"""

from dataclasses import dataclass, field

CASCADE = 2


@dataclass
class Chip:
    """One controller."""
    master: bool
    order: list[int] = field(default_factory=lambda: list(range(8)))    # most urgent first
    irr: set[int] = field(default_factory=set)
    isr: set[int] = field(default_factory=set)
    imr: set[int] = field(default_factory=set)
    lines: set[int] = field(default_factory=set)
    level: set[int] = field(default_factory=set)
    base: int = 0
    words: list[str] = field(default_factory=list)      # ICWs still to come
    read_isr: bool = False
    polling: bool = False
    smm: bool = False
    aeoi: bool = False
    rotate_aeoi: bool = False
    sfnm: bool = False

    def make_lowest(self, irq: int) -> None:
        """Rotate so that irq has the lowest priority."""
        at = self.order.index(irq)
        self.order = self.order[at + 1:] + self.order[:at + 1]

    def request(self) -> int | None:
        """The input this chip raises INT for."""
        for irq in self.order:
            asked = irq in self.irr and irq not in self.imr
            in_service = irq in self.isr and not (self.smm and irq in self.imr)
            if in_service:
                nested = self.sfnm and self.master and irq == CASCADE
                return irq if asked and nested else None
            if asked:
                return irq
        return None


class Pair:
    """Master and slave."""

    LEVEL_CAPABLE = (set(range(3, 8)), {1, 2, 3, 4, 6, 7})

    def __init__(self) -> None:
        self.chips = [Chip(True), Chip(False)]
        self.acked: set[int] = set()

    def settle(self) -> None:
        """The slave's INT drives the master's cascade input."""
        master, slave = self.chips
        if slave.request() is None:
            master.irr.discard(CASCADE)
        else:
            master.irr.add(CASCADE)

    @property
    def output(self) -> bool:
        """INTR"""
        return self.chips[0].request() is not None

    def line(self, pin: int, level: bool) -> int:
        """-1 masked, 0 nothing new, 1 news"""
        if pin == CASCADE:
            return -1
        chip, irq = self.chips[pin // 8], pin % 8
        result = 1
        if level:
            wants = irq in chip.level or irq not in chip.lines
            result = int(wants and irq not in chip.irr or not wants)
            if wants:
                chip.irr.add(irq)
            chip.lines.add(irq)
        else:
            chip.lines.discard(irq)
            if irq in chip.level:
                chip.irr.discard(irq)
        self.settle()
        return -1 if irq in chip.imr else result

    def _ended(self, chip: Chip, irq: int) -> None:
        chip.isr.discard(irq)
        self.acked.add(irq + (0 if chip.master else 8))

    def _acknowledge(self, chip: Chip, irq: int) -> None:
        if irq not in chip.level:
            chip.irr.discard(irq)
        chip.isr.add(irq)
        if chip.aeoi:
            self._ended(chip, irq)
            if chip.rotate_aeoi:
                chip.make_lowest(irq)

    def inta(self) -> int:
        """The vector; input 7's if nobody asks any more."""
        master, slave = self.chips
        irq = master.request()
        if irq is None:
            return master.base + 7
        self._acknowledge(master, irq)
        vector = master.base + irq
        if irq == CASCADE:
            second = slave.request()
            if second is not None:
                self._acknowledge(slave, second)
            vector = slave.base + (7 if second is None else second)
        self.settle()
        return vector

    def read(self, port: int) -> int:
        """IN"""
        if port in (0x4d0, 0x4d1):
            return bits(self.chips[port & 1].level)
        chip = self.chips[port >= 0xa0]
        if chip.polling:
            chip.polling = False
            irq = chip.request()
            if irq is None:
                return 7
            self._acknowledge(chip, irq)
            self.settle()
            return 0x80 + irq
        if port & 1:
            return bits(chip.imr)
        return bits(chip.isr if chip.read_isr else chip.irr)

    def write(self, port: int, value: int) -> None:
        """OUT"""
        if port in (0x4d0, 0x4d1):
            chip = self.chips[port & 1]
            chip.level = members(value) & self.LEVEL_CAPABLE[port & 1]
            for irq in chip.level:
                chip.irr.discard(irq)
                if irq in chip.lines:
                    chip.irr.add(irq)
        else:
            chip = self.chips[port >= 0xa0]
            if port & 1:
                self._data(chip, value)
            elif value & 0x10:
                self._icw1(chip, value)
            elif value & 0x08:
                self._ocw3(chip, value)
            else:
                self._ocw2(chip, value)
        self.settle()

    def _icw1(self, chip: Chip, value: int) -> None:
        gone = chip.isr | (chip.irr - chip.level)
        self.acked |= {irq + (0 if chip.master else 8) for irq in gone}
        chip.irr &= chip.level
        chip.isr, chip.imr = set(), set()
        chip.order = list(range(8))
        chip.read_isr = chip.polling = chip.smm = False
        chip.aeoi = chip.rotate_aeoi = chip.sfnm = False
        chip.words = ["icw2"]
        if not value & 2:
            chip.words.append("icw3")
        if value & 1:
            chip.words.append("icw4")

    @staticmethod
    def _data(chip: Chip, value: int) -> None:
        if not chip.words:
            chip.imr = members(value)
            return
        word = chip.words.pop(0)
        if word == "icw2":
            chip.base = value & 0xf8
        elif word == "icw4":
            chip.sfnm, chip.aeoi = bool(value & 0x10), bool(value & 2)

    @staticmethod
    def _ocw3(chip: Chip, value: int) -> None:
        if value & 4:
            chip.polling = True
        if value & 2:
            chip.read_isr = bool(value & 1)
        if value & 0x40:
            chip.smm = bool(value & 0x20)

    def _ocw2(self, chip: Chip, value: int) -> None:
        command, level = value >> 5, value & 7
        if command in (0, 4):
            chip.rotate_aeoi = command == 4
            return
        if command == 2:        # no operation
            return
        if command in (1, 5):   # non-specific: the most urgent in service
            served = [irq for irq in chip.order
                      if irq in chip.isr and not (chip.smm and irq in chip.imr)]
            if not served:
                return
            level = served[0]
        if command in (1, 3, 5, 7) and level in chip.isr:
            self._ended(chip, level)
        if command in (5, 6, 7):
            chip.make_lowest(level)


def bits(members_: set[int]) -> int:
    """A set of bit numbers as a byte."""
    return sum(1 << bit for bit in members_)


def members(value: int) -> set[int]:
    """The bits of a byte as a set."""
    return {bit for bit in range(8) if value >> bit & 1}
