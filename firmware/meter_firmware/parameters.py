"""The sealed parameter set (DESIGN decision 13): accepted only whole, authentic and newer.

A set is an authority's signed message. What the meter applies are exactly the bytes that were signed; they
enter the chain inside a `parameters_applied` event, and from then on their hash is in every message.
"""

from meter_firmware import sealing
from meter_firmware.sensors import driver_class
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError
from meter_sampling.parameters import check_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


def open_set(
    raw: bytes,
    authority_keys: "list[bytes]",
    thumbprint: bytes,
    current_version: "int | None",
    kind_of_bus: "Callable[[str], str | None]",
) -> sealing.SealedMessage:
    """The opened set, or ProtocolError with the reason for its refusal.

    `kind_of_bus` knows the board's buses by name, and gives None where there is none.
    """

    def objection(fields: "dict[int, Any]") -> "str | None":
        if fields[f.METER] != thumbprint:
            return "not_for_us"
        if current_version is not None and fields[f.SET_VERSION] <= current_version:
            return "parameters_not_newer"
        return None

    sealed = sealing.open_sealed(raw, t.PARAMETER_SET, authority_keys, objection)
    drivers = check_content(sealed.fields, driver_class)
    for instrument, driver in zip(sealed.fields[f.INSTRUMENTS], drivers):
        if kind_of_bus(instrument[f.INSTRUMENT_BUS]) != driver.BUS:
            raise ProtocolError("parameters_bus")
    return sealed


def kind_of_bus(board: "Any", name: str) -> "str | None":
    try:
        kind: str = board.bus(name).KIND
    except KeyError:
        return None
    return kind
