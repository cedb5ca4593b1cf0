"""Why an instrument gave no usable answer, whatever bus it is on."""

from meter_sampling import MeterError

REASONS = (
    # every bus
    "no_response",
    "short_reply",
    "trailing_bytes",
    "disconnected",
    "not_connected",
    # Modbus
    "bad_crc",
    "bad_header",
    "wrong_transaction",
    "wrong_unit",
    "wrong_function",
    "wrong_length",
    "modbus_exception",
    # serial_bus.py and the instruments on it
    "no_frame",
    "bad_checksum",
    "bad_stop",
    "wrong_address",
    "wrong_item",
    "bad_record",
    "encrypted",
    "instrument_refused",
    # sensors that measure by themselves, or have settings
    "not_ready",
    "not_measuring",
    "wrong_config",
    # atm90e32.py
    "bad_readback",
    "chip_reset",
    # sensors
    "wrong_identity",
    "unknown_driver",
    "options",
    "register_map",
)

ABSENT_REASONS = ("no_response", "disconnected", "not_connected")


class InstrumentError(MeterError):
    """`reason` is one of REASONS; `code` is what the instrument itself gave as its reason, such as a Modbus
    exception code.
    """

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.code = code

    @property
    def absent(self) -> bool:
        """Nothing answered at all; otherwise something answered, and not as the instrument would."""
        return self.reason in ABSENT_REASONS
