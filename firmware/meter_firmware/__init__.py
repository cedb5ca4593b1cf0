"""The meter's firmware: it measures, seals, journals and sends, on MicroPython boards and on a host.

The package splits by idea; import the module you need:

    app              the wiring: run(board) is all that the loader calls
    sensors          what only a board can read: chips and contacts; buses, modbus, modbus_line reach instruments
    sealing          what is built on the Signer seam; signers has the keys, p256 is ES256 in pure Python
    parameters       a sealed set is opened; software says which firmware measures by it
    chain_log        number, seal and journal one message
    refusals         what the chain is told of sets and manifests that were refused
    journal          what was sealed is kept here until the gateway has proven that it has it
    journal_*        its parts: record, segments, index, reader, recovery, head
    update           offers, downloads, trials; image, update_manifest, staging, slots, update_services: its parts
    memory           small durable values
    blockdev         a flash chip made of a host's file, and LittleFS mounted with care
    delivery, inbox  from the journal to the gateway, and what comes back
    links            serial line and MQTT
    watchdog         when the board's watchdog is fed
    board_clock      a board's monotonic ticks

The rules of measuring themselves are meter_sampling's, which a gateway shares.
"""

from meter_sampling import MeterError


class FirmwareError(MeterError):
    """What the firmware cannot do, with a stable reason code; the one base class of this package."""
