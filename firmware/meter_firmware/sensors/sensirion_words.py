"""What Sensirion's sensors say on I2C: 16-bit words, each with a CRC-8; and how they are told. Pure.

Source: Sensirion, Interface Description SCD30 §1.1.3 (polynomial 31h, initial value FFh, no reflection, no final
XOR; CRC of BEEFh is 92h); the same in the data sheets of SCD4x and SDP8xx.
"""

from meter_sampling.instrument_error import InstrumentError


def crc8(frame: bytes) -> int:
    crc = 0xFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x31) & 0xFF if crc & 0x80 else crc << 1
    return crc


def command(code: int, argument: "int | None" = None) -> bytes:
    """A command word, which has no CRC, and its argument, which has."""
    frame = bytes((code >> 8, code & 0xFF))
    if argument is None:
        return frame
    word = bytes((argument >> 8, argument & 0xFF))
    return frame + word + bytes((crc8(word),))


def words(frame: bytes) -> "list[int]":
    """The words of a reply, all of them or none."""
    if len(frame) % 3:
        raise InstrumentError("short_reply")
    found = []
    for start in range(0, len(frame), 3):
        if crc8(frame[start : start + 2]) != frame[start + 2]:
            raise InstrumentError("bad_crc")
        found.append(frame[start] << 8 | frame[start + 1])
    return found
