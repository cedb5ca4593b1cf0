"""Certificates, bindings and cylinders as a user writes them down, for tests of whatever rests on them."""

from collections.abc import Iterable

from meter_tools.simulated_meter import SimulatedMeter


def certificate(
    identifier: str,
    *results: str,
    calibrated: str = "2025-12-01",
    due: str = "2026-12-31",
    laboratory: str = "City Laboratory",
    standards: Iterable[tuple[str, str, str]] = (),
) -> str:
    """`standards` are name, serial number and certificate of each."""
    return f"""
id = "{identifier}"
calibrated = {calibrated}
due = {due}
due_source = "owner"
[laboratory]
name = "{laboratory}"
""" + "".join([*results, *map(_standard, standards)])


def calibration(
    quantity: str,
    serial: str,
    *references: float,
    axis: tuple[str, str] = ("active_power", "kW"),
    error_unit: str = "%",
    errors: Iterable[float] = (),
    u: float,
) -> str:
    """A result with one expanded uncertainty `u` at all reference values; errors are 0 if not said."""
    points = "".join(
        f"  {{ reference = {reference}, error = {error}, U = {u}, k = 2 }},\n"
        for reference, error in zip(references, errors or [0.0] * len(references), strict=True)
    )
    return f"""
[[result]]
type = "calibration"
quantity = "{quantity}"
error_unit = "{error_unit}"
instrument = {{ manufacturer = "x", model = "y", serial = "{serial}" }}
axis = {{ quantity = "{axis[0]}", unit = "{axis[1]}" }}
point = [
{points}]
"""


def gas_certificate(identifier: str, *components: str, calibrated: str, due: str) -> str:
    return f"""
id = "{identifier}"
calibrated = {calibrated}
due = {due}
due_source = "producer"
[laboratory]
name = "Gas Reference Materials Ltd."
accreditation = "ISO 17034, CNAS RM0000"
""" + "".join(components)


def component(
    cylinder: str = "D123456",
    quantity: str = "co2_fraction",
    fraction: float = 12.03,
    u: float = 0.06,
    k: int = 2,
    minimum_pressure_kpa: int | None = None,
) -> str:
    pressure = "" if minimum_pressure_kpa is None else f"minimum_pressure_kpa = {minimum_pressure_kpa}\n"
    return f"""[[result]]
type = "reference_gas"
cylinder = "{cylinder}"
quantity = "{quantity}"
unit = "%"
amount_fraction = {fraction}
U = {u}
k = {k}
balance_gas = "nitrogen"
{pressure}"""


def binding(meter: SimulatedMeter, channel: int, certificate_id: str) -> str:
    """Of the meter's own instrument, since before its first reading."""
    return f"""
[[binding]]
meter = "{meter.thumbprint.hex()}"
channel = {channel}
serial = "{meter.name} power"
certificates = ["{certificate_id}"]
from = 2020-01-01T00:00:00Z
"""


def _standard(named: tuple[str, str, str]) -> str:
    name, serial, identifier = named
    return f"""
[[equipment]]
name = "{name}"
serial = "{serial}"
certificate = "{identifier}"
"""
