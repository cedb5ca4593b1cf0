"""Pulse inputs on pins of the board: contacts to ground, with a pull-up, counted by the pins' interrupts.

Pass `hard=True` where the port's Pin.irq has it: the handler runs at the edge then. Elsewhere it waits for the
interpreter, which a signature or a TLS handshake keeps busy for longer than a pulse may last.
"""

import time

from meter_firmware.buses.pulse import PulseInputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class PinPulses(PulseInputs):
    def __init__(self, pins: "list[Any]", **irq: bool) -> None:
        super().__init__([_closed(pin) for pin in pins])
        for index, pin in enumerate(pins):
            self._watch(index, pin, irq)

    def _watch(self, index: int, pin: "Any", irq: "dict[str, bool]") -> None:
        edge = self.edge
        ticks_us = time.ticks_us

        def changed(_: "Any") -> None:
            edge(index, 1 - pin.value(), ticks_us())

        pin.irq(changed, pin.IRQ_RISING | pin.IRQ_FALLING, **irq)


def _closed(pin: "Any") -> int:
    level: int = 1 - pin.value()
    return level
