"""May a reference gas be used: is its certificate in force, and for this cylinder and this component?

A cylinder is no instrument of a channel. It is what zero and span checks put before an analyser: its certificate
is asked about the time of its use, at the check and whenever readings are judged.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from meter_gateway.traceability import units
from meter_gateway.traceability.certificate import Certificate, EndKind, ReferenceGas
from meter_protocol.quantities import Quantity

_OF_PPM = {"%": Decimal(10_000), "[ppb]": Decimal("0.001")}
"""An amount fraction of 1 % is 1 cmol/mol; certificates print either."""


def findings(certificate: Certificate, from_ms: int, to_ms: int, utc_offset_minutes: int = 0) -> tuple[str, ...]:
    """Codes about a use of the gas over [from_ms, to_ms], Unix time; dates end at midnight of the offset.

    `reference_gas_expired` after the last day that the producer vouches for, and where no day is stated; and what
    holds for every certificate: not yet issued, withdrawn, superseded, and the findings about its signature.
    """
    codes = list(certificate.findings)
    first, last = (_day(at_ms, utc_offset_minutes) for at_ms in (from_ms, to_ms))
    if certificate.due_on is None or last > certificate.due_on:
        codes.append("reference_gas_expired")
    if first < certificate.calibrated_on:
        codes.append("certificate_not_yet_valid")
    for end in certificate.ends:
        if end.kind is EndKind.WITHDRAWN:
            codes.append("certificate_withdrawn")
        elif end.kind is EndKind.SUPERSEDED and end.at_ms <= to_ms:
            codes.append("certificate_superseded")
    return tuple(sorted(set(codes)))


def factor(unit: str, quantity: Quantity) -> Decimal | None:
    """How many of the quantity's own unit one `unit` is; a fraction may be in % and ppb too."""
    if quantity.ucum == "[ppm]" and unit in _OF_PPM:
        return _OF_PPM[unit]
    return units.factor(unit, quantity)


def allowed(quantity: Quantity) -> str:
    return ", ".join((units.allowed(quantity), *(_OF_PPM if quantity.ucum == "[ppm]" else ())))


def amount(gas: ReferenceGas) -> tuple[Decimal, Decimal]:
    """Value and standard uncertainty in the unit of the component's quantity."""
    scale = factor(gas.unit, gas.quantity)
    if scale is None:
        raise ValueError("the unit is of another quantity")
    return gas.amount_fraction * scale, gas.expanded_uncertainty * scale / gas.k


def of(certificate: Certificate, quantity_name: str, cylinder: str | None = None) -> ReferenceGas | None:
    """What the certificate says of one component, of one cylinder where it is about several."""
    return next(
        (
            gas
            for gas in certificate.reference_gases
            if gas.quantity.name == quantity_name and cylinder in (None, gas.cylinder)
        ),
        None,
    )


def _day(at_ms: int, utc_offset_minutes: int) -> date:
    local = datetime.fromtimestamp(at_ms // 1000, UTC) + timedelta(minutes=utc_offset_minutes)
    return local.date()
