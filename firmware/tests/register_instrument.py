"""An instrument on a Modbus bus, for tests on MicroPython: it holds these registers and no others."""

from meter_sampling.instrument_error import InstrumentError


def block(*registers):
    return b"".join([bytes((register >> 8, register & 0xFF)) for register in registers])


class Registers:
    """`words` is a register by (function, address)."""

    def __init__(self, words):
        self.words = words

    async def read_holding(self, unit, address, count):
        return self._read(3, address, count)

    async def read_input(self, unit, address, count):
        return self._read(4, address, count)

    def _read(self, function, address, count):
        places = [(function, address + step) for step in range(count)]
        for place in places:
            if place not in self.words:
                raise InstrumentError("modbus_exception", 2)
        return block(*[self.words[place] for place in places])


class Broken:
    """It answers nothing that could be believed."""

    def __init__(self, reason):
        self.reason = reason

    async def read_holding(self, unit, address, count):
        raise InstrumentError(self.reason)

    async def read_input(self, unit, address, count):
        raise InstrumentError(self.reason)
