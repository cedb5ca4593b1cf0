"""The gas of a zero or span check: what its certificate says of it, or what a person typed in.

A certificate that does not fit is told before anything is sealed. One that was not in force is no error: the check
was made. It proves nothing, and says why.
"""

from dataclasses import dataclass
from decimal import Decimal

from meter_gateway.texts import Told
from meter_gateway.traceability import reference_gas
from meter_gateway.traceability.calibration import Register
from meter_gateway.traceability.certificate import Certificate
from meter_protocol.quantities import Quantity


@dataclass(frozen=True, slots=True)
class CheckGas:
    """In the quantity's unit. `expanded_uncertainty` (k = 2) is 0 where no certificate says it; `doubts` are codes
    why the gas proves nothing.
    """

    cylinder: str
    value: Decimal
    expanded_uncertainty: Decimal = Decimal(0)
    doubts: tuple[str, ...] = ()


def gas_of(
    register: Register,
    certificate: Certificate | None,
    quantity: Quantity,
    cylinder: str | None,
    value: Decimal | None,
    at_ms: int,
) -> CheckGas:
    """`cylinder` and `value` as they were typed in, None where they were not. Told where they do not agree."""
    if certificate is None or not certificate.reference_gases:
        if cylinder is None:
            raise Told("compare.no_cylinder")
        return CheckGas(cylinder, Decimal(0) if value is None else value)
    cylinder = _cylinder(certificate, cylinder)
    gas = reference_gas.of(certificate, quantity.name, cylinder)
    if gas is None:
        has = sorted({each.quantity.name for each in certificate.reference_gases if each.cylinder == cylinder})
        raise Told("compare.no_component", id=certificate.identifier, quantity=quantity.name, known=", ".join(has))
    certified, u = reference_gas.amount(gas)
    if value is not None and value != certified:
        told = {"typed": f"{value:f}", "certified": f"{certified.normalize():f}", "unit": quantity.ucum}
        raise Told("compare.other_gas", id=certificate.identifier, **told)
    doubts = register.standing(certificate, cylinder, at_ms, at_ms)
    return CheckGas(cylinder, certified, 2 * u, tuple(doubts))


def _cylinder(certificate: Certificate, typed: str | None) -> str:
    """The one that was named, or the only one that the certificate is about."""
    known = sorted({gas.cylinder for gas in certificate.reference_gases})
    if typed is None and len(known) > 1:
        raise Told("compare.several_cylinders", id=certificate.identifier, known=", ".join(known))
    if typed is not None and typed not in known:
        raise Told("compare.other_cylinder", id=certificate.identifier, typed=typed, known=", ".join(known))
    return typed or known[0]
