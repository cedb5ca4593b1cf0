"""The simulated meters under every kind of rule at once: limits on every channel, sources of uncertainty beside
the certificate, targets, and a scheme's data validity. They are wide enough that next to nothing is found: what is
measured is the asking."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from meter_gateway.config import SCHEMES
from meter_gateway.metrology.budget import Distribution
from meter_gateway.traceability import Trust
from meter_gateway.traceability.plausibility_file import ChannelLimits, Plausibility
from meter_gateway.traceability.terms import Contribution, Target, Terms
from meter_gateway.traceability.thresholds import load_thresholds
from meter_tools.simulated_meter import SimulatedMeter, trust_in

_UNITS = {
    "active_energy_import": "kW",
    "reactive_energy_lagging": "kvar",
    "reactive_energy_leading": "kvar",
    "active_power": "kW",
    "voltage": "V",
    "current": "A",
    "frequency": "Hz",
    "volume": "m3/h",
    "volume_flow": "m3/h",
    "co2_fraction": "ppm",
}
_SHEET = "data sheet"
_TERMS = Terms(
    contributions=(
        Contribution("drift", Distribution.RECTANGULAR, Decimal("0.1"), "%", _SHEET, per_year=True),
        Contribution("repeatability", Distribution.NORMAL, Decimal("0.05"), "%", _SHEET, is_random=True),
        Contribution("temperature", Distribution.RECTANGULAR, Decimal("0.1"), "%", _SHEET),
        Contribution("transformer", Distribution.RECTANGULAR, Decimal("0.2"), "%", _SHEET, certificate="CT"),
    ),
    target=Target(Decimal(5), "%"),
)


def trust_with_all_rules(meters: Sequence[SimulatedMeter]) -> Trust:
    return trust_in(
        meters,
        bindings=[replace(binding, terms=_TERMS) for meter in meters for binding in meter.bindings()],
        plausible=Plausibility(tuple(limit for meter in meters for limit in _limits(meter))),
        thresholds=load_thresholds(SCHEMES / "hj75.toml"),
    )


def _limits(meter: SimulatedMeter) -> list[ChannelLimits]:
    return [
        ChannelLimits(
            meter=meter.thumbprint,
            channel=number,
            unit=_UNITS[channel.quantity],
            stuck_minutes=60,
            max_spike=Decimal(1_000_000),
            max_change_per_minute=Decimal(1_000_000),
        )
        for number, channel in enumerate(meter.channels, start=1)
    ]
