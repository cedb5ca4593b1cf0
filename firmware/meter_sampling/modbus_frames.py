"""Modbus' own bytes: requests and replies as pure functions.

Sources: MODBUS Application Protocol V1.1b3 (function codes 3 and 4, exception replies), MODBUS over Serial
Line V1.02 (RTU frame, CRC-16), MODBUS Messaging on TCP/IP V1.0b (MBAP header).

A reply counts only if unit, function and byte count are those of the request. Anything else is an
InstrumentError with a reason; nothing in the bytes is believed.
"""

from meter_sampling.instrument_error import InstrumentError

READ_HOLDING = 3
READ_INPUT = 4
EXCEPTION_BIT = 0x80
MAX_REGISTERS = 125
MBAP_LENGTH = 7
MAX_MBAP_LENGTH_FIELD = 254


def crc16(frame: bytes) -> int:
    """CRC-16 of MODBUS over Serial Line V1.02 §6.2.2: reflected polynomial A001, initial value FFFF."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def _read_pdu(function: int, address: int, count: int) -> bytes:
    if function not in (READ_HOLDING, READ_INPUT):
        raise ValueError("function is not a register read")
    if not 0 <= address <= 0xFFFF or not 1 <= count <= MAX_REGISTERS or address + count > 0x10000:
        raise ValueError("register range")
    return bytes((function, address >> 8, address & 0xFF, 0, count))


def rtu_request(unit: int, function: int, address: int, count: int) -> bytes:
    if not 1 <= unit <= 255:
        raise ValueError("unit")
    frame = bytes((unit,)) + _read_pdu(function, address, count)
    crc = crc16(frame)
    return frame + bytes((crc & 0xFF, crc >> 8))


def rtu_reply_length(received: bytes) -> int:
    """Length of the frame that begins `received`, 0 while its header is still incomplete."""
    if len(received) < 3:
        return 0
    function = received[1]
    if function & EXCEPTION_BIT:
        return 5
    if function not in (READ_HOLDING, READ_INPUT):
        raise InstrumentError("wrong_function")
    return 5 + received[2]


def rtu_reply(received: bytes, unit: int, function: int, count: int) -> bytes:
    """Register bytes of one whole RTU reply.

    The CRC is checked before the unit: in a damaged frame the unit byte means nothing.
    """
    length = rtu_reply_length(received)
    if length == 0 or len(received) < length:
        raise InstrumentError("short_reply")
    if len(received) > length:
        raise InstrumentError("trailing_bytes")
    if crc16(received[:-2]) != received[-2] | received[-1] << 8:
        raise InstrumentError("bad_crc")
    if received[0] != unit:
        raise InstrumentError("wrong_unit")
    return _reply_pdu(received[1:-2], function, count)


def _reply_pdu(pdu: bytes, function: int, count: int) -> bytes:
    if len(pdu) < 2 or pdu[0] & ~EXCEPTION_BIT != function:
        raise InstrumentError("wrong_function")
    if pdu[0] & EXCEPTION_BIT:
        raise InstrumentError("modbus_exception", pdu[1])
    if pdu[1] != 2 * count or len(pdu) != 2 + 2 * count:
        raise InstrumentError("wrong_length")
    return pdu[2:]


def tcp_request(transaction: int, unit: int, function: int, address: int, count: int) -> bytes:
    if not 0 <= transaction <= 0xFFFF or not 0 <= unit <= 255:
        raise ValueError("transaction or unit")
    pdu = _read_pdu(function, address, count)
    header = (transaction >> 8, transaction & 0xFF, 0, 0, 0, 1 + len(pdu), unit)
    return bytes(header) + pdu


def tcp_reply_length(received: bytes) -> int:
    """Length of the frame that begins `received`, 0 while its MBAP header is still incomplete."""
    if len(received) < MBAP_LENGTH:
        return 0
    length_field = received[4] << 8 | received[5]
    if received[2] or received[3] or not 3 <= length_field <= MAX_MBAP_LENGTH_FIELD:
        raise InstrumentError("bad_header")
    return 6 + length_field


def tcp_reply(frame: bytes, transaction: int, unit: int, function: int, count: int) -> bytes:
    """Register bytes of one whole Modbus TCP reply."""
    length = tcp_reply_length(frame)
    if length == 0 or len(frame) < length:
        raise InstrumentError("short_reply")
    if len(frame) > length:
        raise InstrumentError("trailing_bytes")
    if frame[0] << 8 | frame[1] != transaction:
        raise InstrumentError("wrong_transaction")
    if frame[6] != unit:
        raise InstrumentError("wrong_unit")
    return _reply_pdu(frame[7:], function, count)
