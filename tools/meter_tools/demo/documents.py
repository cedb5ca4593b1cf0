"""The files of a demo, as a user would write them: gateway, meter, instruments, parameters, certificates.

The certificates are honest about what they are: issued by nobody, for instruments that are simulated.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from meter_protocol import keys
from meter_protocol.quantities import BY_NAME
from meter_tools.demo.scene import Channel, Scene

LABORATORY = "nobody (demonstration)"

CALIBRATED_RANGES = {
    "active_power": ("0", "750000"),
    "voltage": ("9000", "11000"),
    "current": ("0", "50"),
    "co2_fraction": ("0", "5000"),
    "volume": ("0", "10000"),
    "volume_flow": ("0", "60"),
}
"""Of the generator's instruments, on the primary side, in the quantities' units."""

ANY_RANGE = ("-1e12", "1e12")
"""Whatever a trace of the user's own holds."""

INSTRUMENT_TIMEOUT_MS = 10_000
"""Simulated instruments always answer: one that is late is so because this computer is busy."""


def cose_key(pem: bytes) -> bytes:
    """COSE_Key of a P-256 public key in PEM."""
    public = load_pem_public_key(pem)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise TypeError("not an elliptic-curve key")
    numbers = public.public_numbers()
    return keys.encode_p256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))


def gateway(listener: str, broker_port: int, clock_source: str, authority: Path, software_id: str | None) -> str:
    """Until the meter's software id is known, without what is about the meter: approval and certificates."""
    about_the_meter = f"""
[[software]]
id = "{software_id}"
note = "this checkout"

[traceability]
certificates = ["certificate-*.toml"]
bindings = ["bindings.toml"]
"""
    return f"""\
# Written by carbonmeter demo.
[gateway]
name = "demo"
state_dir = "state"
scheme = "development"   # the demo meter's key is a software key

[keys]
receipt = "keys/receipt.pem"
verdict = "keys/verdict.pem"
clock = "keys/clock.pem"

[clock]
source = "{clock_source}"
trusted = true
uncertainty_ms = 20

[[listener]]
{listener}

[uplink.mqtt]
host = "127.0.0.1"
port = {broker_port}

[parameters]
authority_keys = ["{authority}"]
{"" if software_id is None else about_the_meter}"""


def meter(
    scene: Scene,
    serial: str,
    folder: Path,
    authority_key: bytes,
    instrument_port: int,
    link: dict[str, Any],
    clock_file: Path,
    pace_ms: int,
) -> dict[str, Any]:
    bus = {"host": "127.0.0.1", "tcp_port": instrument_port, "framing": "rtu", "timeout_ms": INSTRUMENT_TIMEOUT_MS}
    config: dict[str, Any] = {
        "serial": serial,
        "flash": str(folder / "flash.bin"),
        "authority_keys": [authority_key.hex()],
        "buses": {"modbus0": bus},
        "link": link,
        "stop_file": str(folder / "stop"),
        "drain_s": 120,
    }
    if scene.trace:
        config["replay"] = {"clock_file": str(clock_file), "until_ms": scene.end_ms, "pace_ms": pace_ms}
    return config


def simulator(scene: Scene, port: int, clock_file: Path) -> dict[str, Any]:
    instruments = []
    for index, instrument in enumerate(scene.instruments):
        if scene.trace:
            source: dict[str, Any] = {"kind": "trace", "csv": str(scene.trace), "map": str(scene.map)}
        else:
            start = datetime.now(UTC) - timedelta(hours=1)
            source = {"kind": "generator", "seed": 1, "start": start.isoformat()}
        instruments.append(
            {
                "name": f"{instrument.kind}-{index}",
                "kind": instrument.kind,
                "unit": instrument.unit,
                "serial": instrument.serial,
                "source": source,
            }
        )
    bus = {"name": "modbus0", "framing": "rtu", "port": port, "instruments": instruments}
    return {"clock_file": str(clock_file), "bus": [bus]}


def parameters(scene: Scene, thumbprint: str, gateway_folder: Path) -> str:
    lines = [
        f'meter = "{thumbprint}"',
        "version = 1",
        f"interval_s = {scene.interval_s}",
        f"sample_period_ms = {scene.sample_period_ms}",
        f'receipt_keys = ["{gateway_folder}/keys/receipt.pub.pem"]',
        f'clock_keys = ["{gateway_folder}/keys/clock.pub.pem"]',
    ]
    for index, instrument in enumerate(scene.instruments):
        lines += [
            "",
            "[[instrument]]",
            f'name = "instrument-{index}"',
            f'driver = "{instrument.kind}"',
            'bus = "modbus0"',
            f"address = {instrument.unit}",
        ]
        if instrument.options is None:
            lines.append(f'serial = "{instrument.serial}"')
        else:
            lines.append(f"options = {_toml_rows(instrument.options)}")
    for channel in scene.channels:
        lines += [
            "",
            "[[channel]]",
            f"id = {channel.id}",
            f'instrument = "instrument-{channel.instrument}"',
            f'indication = "{channel.indication}"',
            f'quantity = "{channel.quantity}"',
            f'kind = "{"register" if channel.is_register else "mean"}"',
            f"exponent = {channel.exponent}",
            f"ratio = {channel.ratio}",
        ]
        if channel.modulus is not None:
            lines.append(f"modulus = {channel.modulus}")
        point = _operating_point(scene, channel)
        if point is not None:
            lines.append(f"operating_point = {point.id}")
    return "\n".join(lines) + "\n"


def certificates(scene: Scene, thumbprint: str) -> dict[str, str]:
    """File name -> text: one calibration certificate for each channel, and the bindings of all."""
    files = {}
    bindings = []
    moment = datetime.fromtimestamp(scene.start_ms / 1000, UTC) if scene.start_ms else datetime.now(UTC)
    calibrated, due = moment.date() - timedelta(days=30), moment.date() + timedelta(days=700)
    since = (moment - timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for channel in scene.channels:
        point = _operating_point(scene, channel) or channel
        serial = scene.instruments[channel.instrument].serial
        number = f"DEMO-{channel.id:03d}"
        low, high = ANY_RANGE if scene.trace else CALIBRATED_RANGES[point.quantity]
        files[f"certificate-{channel.id:03d}.toml"] = f"""\
# A demonstration: the instrument is simulated and no laboratory stands behind this.
id = "{number}"
calibrated = {calibrated}
due = {due}
due_source = "demonstration"

[laboratory]
name = "{LABORATORY}"

[[result]]
type = "calibration"
quantity = "{channel.quantity}"
error_unit = "%"

[result.instrument]
manufacturer = "carbonmeter"
model = "simulated {scene.instruments[channel.instrument].kind}"
serial = "{serial}"

[result.axis]
quantity = "{point.quantity}"
unit = "{BY_NAME[point.quantity].ucum}"
minimum = {low}
maximum = {high}

[[result.point]]
reference = {low}
error = 0
U = 0.5
k = 2

[[result.point]]
reference = {high}
error = 0
U = 0.5
k = 2
"""
        bindings.append(
            f'[[binding]]\nmeter = "{thumbprint}"\nchannel = {channel.id}\nserial = "{serial}"\n'
            f'certificates = ["{number}"]\nfrom = {since}\n'
        )
    files["bindings.toml"] = "\n".join(bindings)
    return files


def _operating_point(scene: Scene, channel: Channel) -> Channel | None:
    """The channel whose value is the operating point of an energy or volume register, where there is one."""
    rates = {"volume": "volume_flow"}
    wanted = rates.get(channel.quantity, "active_power")
    if not channel.is_register:
        return None
    for other in scene.channels:
        if other.quantity == wanted and other.instrument == channel.instrument:
            return other
    return None


def _toml_rows(rows: list[list[str | int]]) -> str:
    cells = [", ".join(f'"{cell}"' if isinstance(cell, str) else str(cell) for cell in row) for row in rows]
    return "[" + ", ".join(f"[{row}]" for row in cells) + "]"
