"""From an instrument's registers to the content of a message: the rules of measuring, for two interpreters.

A board measures with it, and so does the gateway, which reads itself the instruments that cannot sign. Nothing
here opens a line, keeps a byte or touches a key: buses, the chain and the ticks are given.

    drivers             what instruments on a line say: one file each; modbus_frames has Modbus' own bytes
    line_bus            what every bus over a line of bytes has in common; serial_bus is that of what is not Modbus
    instrument          one instrument: does it answer, is it the one that is meant, what does it indicate
    metering            indications -> readings of one interval; pure
    parameters          what a parameter set's parts must be to each other, and the channels that it makes
    clock               monotonic ticks, and UTC by signed challenge
    seams               what the loop is given, as types
    meter               the sampling loop: intervals, outages, and what comes between
    overflow            what is said once a full journal takes messages again
    last_sealed         where a meter goes on after its boot; read_back opens what is there already
"""


class MeterError(Exception):
    """What a meter cannot do, with a stable reason code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
