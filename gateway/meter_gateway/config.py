"""The gateway's one configuration file, as values (docs/configuration.md lists every key).

`load_config` gives a complete, checked GatewayConfig or raises ConfigError with one line that names file, key
and remedy. Relative paths are relative to the file. Whatever can be known to be wrong before the gateway
starts (a file that is absent, a private key that others can read) is refused here and not at three in the
morning. Nothing else is read or opened; certificates and bindings are loaded by `traceability.load_trust`.
"""

import re
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, model_validator

from meter_gateway.validated_toml import ConfigError, Table, as_tuple, hex32, problem, read
from meter_protocol import cbor

__all__ = ["ConfigError", "GatewayConfig", "load_config"]

SCHEMES = Path(__file__).parent / "policies"
"""The schemes that come with the gateway."""

# Nobody outside the owner's group reads a secret, and only its owner changes it.
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP

_NEW_KEY = "make one with: (umask 077; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {})"


def _path(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        raise problem("must be a path in quotes", 'write for example "folder/file"')
    if not value or "\0" in value:
        raise problem("is not a path", "name a file or folder, absolute or relative to this file")
    base: Path = (info.context or {})["base"]
    return base / Path(value).expanduser()


def _file(value: Any, info: ValidationInfo) -> Any:
    path: Path = _path(value, info)
    if not path.is_file():
        raise problem(f"{path} is not a file", "correct the path or create the file")
    return path


def _secret_file(value: Any, info: ValidationInfo) -> Any:
    path: Path = _file(value, info)
    _refuse_open(path)
    return path


def _key_file(value: Any, info: ValidationInfo) -> Any:
    path: Path = _path(value, info)
    if not path.is_file():
        raise problem(f"{path} is not a file", _NEW_KEY.format(path))
    _refuse_open(path)
    return path


def _refuse_open(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _TOO_OPEN:
        raise problem(f"{path} holds a secret and has mode {mode:04o}", f"run: chmod 600 {path}")


def _files(value: Any, info: ValidationInfo) -> Any:
    """File names and patterns -> the files, in an order that does not depend on the file system."""
    if not isinstance(value, list):
        raise problem("must be a list of files or patterns", 'write for example ["certificates/*.toml"]')
    found: dict[Path, None] = {}
    for entry in value:
        pattern: Path = _path(entry, info)
        matches = [pattern] if pattern.is_file() else list(pattern.parent.glob(pattern.name))
        files = sorted(match for match in matches if match.is_file())
        if not files:
            raise problem(f"no file matches {pattern}", "correct the pattern or take it out of the list")
        found.update(dict.fromkeys(files))
    return tuple(found)


def _clock_source(value: Any, info: ValidationInfo) -> Any:
    if value == "system":
        return None
    if isinstance(value, str) and value.startswith("file:"):
        return _path(value.removeprefix("file:"), info)
    raise problem('must be "system" or "file:<path>"', 'write source = "system"')


def _scheme(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and value.endswith(".toml"):
        return _file(value, info)
    names = sorted(path.stem for path in SCHEMES.glob("*.toml"))
    if value not in names:
        raise problem("is not a scheme", f"write one of {', '.join(names)}, or the path of a .toml file")
    return SCHEMES / f"{value}.toml"


def _utc_offset(value: Any) -> Any:
    match = re.fullmatch(r"([+-])(\d\d):([0-5]\d)", value) if isinstance(value, str) else None
    if match is None or int(match[2]) > 14:
        raise problem("must be an offset from UTC", 'write for example utc_offset = "+08:00"')
    minutes = int(match[2]) * 60 + int(match[3])
    return -minutes if match[1] == "-" else minutes


def _host_and_port(value: Any) -> Any:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise problem("must be host:port", 'write for example tcp = "127.0.0.1:7600"')
    return host.removeprefix("[").removesuffix("]"), int(port)


SchemeFile = Annotated[Path, BeforeValidator(_scheme)]
AnyPath = Annotated[Path, BeforeValidator(_path)]
ExistingFile = Annotated[Path, BeforeValidator(_file)]
SecretFile = Annotated[Path, BeforeValidator(_secret_file)]
KeyFile = Annotated[Path, BeforeValidator(_key_file)]
Files = Annotated[tuple[Path, ...], BeforeValidator(_files)]
ClockSource = Annotated[Path | None, BeforeValidator(_clock_source)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Host = Annotated[str, Field(min_length=1, max_length=253)]
Port = Annotated[int, Field(ge=1, le=65535)]


class GatewaySection(Table):
    name: Name = Field(examples=['"boiler house"'])
    state_dir: AnyPath = Field(examples=['"state"'])
    scheme: SchemeFile = Field(default=SCHEMES / "house.toml", examples=['"house"'])
    """A file; the configuration may name one that comes with the gateway."""


class KeysSection(Table):
    """Private keys by role; one key in two roles would let a stolen clock key sign receipts."""

    receipt: KeyFile = Field(examples=['"keys/receipt.pem"'])
    verdict: KeyFile = Field(examples=['"keys/verdict.pem"'])
    clock: KeyFile = Field(examples=['"keys/clock.pem"'])

    @model_validator(mode="after")
    def _separate(self) -> "KeysSection":
        if len({self.receipt.resolve(), self.verdict.resolve(), self.clock.resolve()}) < 3:
            raise problem("one key file has two roles", "give receipt, verdict and clock a key each")
        return self


class ClockSection(Table):
    """How far the gateway's own time can be believed. `source` None is the system's clock."""

    source: ClockSource = Field(default=None, examples=['"system"'])
    trusted: bool = Field(default=False, examples=["true"])
    uncertainty_ms: int = Field(default=1000, ge=0, le=3_600_000, examples=["1000"])
    max_skew_ms: int = Field(default=0, ge=0, le=3_600_000, examples=["0"])


class _Mqtt(Table):
    host: Host = Field(examples=['"127.0.0.1"'])
    port: Port = Field(default=1883, examples=["1883"])
    username: Name | None = Field(default=None, examples=['"gateway"'])
    password_file: SecretFile | None = Field(default=None, examples=['"secrets/mqtt.password"'])
    tls: bool = Field(default=False, examples=["true"])
    ca_file: ExistingFile | None = Field(default=None, examples=['"broker-ca.pem"'])

    @model_validator(mode="after")
    def _complete(self) -> "_Mqtt":
        if self.password_file is not None and self.username is None:
            raise problem("password_file without username", "add username = …")
        if self.ca_file is not None and not self.tls:
            raise problem("ca_file without tls", "add tls = true")
        return self


class MqttListener(_Mqtt):
    type: Literal["mqtt"] = Field(examples=['"mqtt"'])


class SerialListener(Table):
    """A line to one or more meters: a serial port, or a TCP address where each connection is a line."""

    type: Literal["serial"] = Field(examples=['"serial"'])
    port: Annotated[str, Field(min_length=1)] | None = Field(default=None, examples=['"/dev/ttyUSB0"'])
    baud: Literal[9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600] = Field(
        default=115200, examples=["115200"]
    )
    tcp: Annotated[tuple[str, int] | None, BeforeValidator(_host_and_port)] = Field(
        default=None, examples=['"127.0.0.1:7600"']
    )

    @model_validator(mode="after")
    def _one_line(self) -> "SerialListener":
        if (self.port is None) == (self.tcp is None):
            raise problem("needs either port or tcp", 'write port = "/dev/ttyUSB0" or tcp = "127.0.0.1:7600"')
        return self


class BusSection(Table):
    """A line to instruments that the gateway reads itself: a serial port, or a TCP address."""

    name: Annotated[str, Field(min_length=1, max_length=32)] = Field(examples=['"bus0"'])
    kind: Literal["modbus", "serial"] = Field(examples=['"modbus"'])
    port: Annotated[str, Field(min_length=1)] | None = Field(default=None, examples=['"/dev/ttyUSB1"'])
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] = Field(default=9600, examples=["2400"])
    parity: Literal["none", "even", "odd"] = Field(default="none", examples=['"even"'])
    tcp: Annotated[tuple[str, int] | None, BeforeValidator(_host_and_port)] = Field(
        default=None, examples=['"192.168.1.20:502"']
    )
    rtu: bool = Field(default=False, examples=["true"])
    timeout_ms: int = Field(default=1000, ge=50, le=30_000, examples=["1000"])

    @model_validator(mode="after")
    def _one_line(self) -> "BusSection":
        if (self.port is None) == (self.tcp is None):
            raise problem("needs either port or tcp", 'write port = "/dev/ttyUSB1" or tcp = "192.168.1.20:502"')
        if self.rtu and (self.kind != "modbus" or self.tcp is None):
            raise problem("rtu is for Modbus over TCP", "leave it out: on a serial port Modbus is RTU anyway")
        return self


class WitnessSection(Table):
    """A meter of the gateway's own, for instruments that cannot sign."""

    name: Name = Field(examples=['"boiler 2, gas"'])
    key: AnyPath = Field(examples=['"keys/boiler-2.pem"'])


Listener = Annotated[MqttListener | SerialListener, Field(discriminator="type")]


class UplinkMqtt(_Mqtt):
    """Where verified readings and their verdicts go."""


class UplinkSection(Table):
    mqtt: UplinkMqtt | None = Field(default=None)


class LimitsSection(Table):
    """Bounds on what a peer can make the gateway do or keep before any signature is checked."""

    max_payload_bytes: int = Field(default=262_144, ge=cbor.MAX_SIZE, le=16_777_216, examples=["262144"])
    messages_per_second: int = Field(default=20_000, ge=1, le=1_000_000, examples=["20000"])
    rejected_ring: int = Field(default=1000, ge=0, le=1_000_000, examples=["1000"])
    unknown_identities: int = Field(default=256, ge=0, le=65_536, examples=["256"])
    unknown_identities_per_peer: int = Field(default=8, ge=0, le=65_536, examples=["8"])


class ParametersSection(Table):
    authority_keys: Files = Field(default=(), examples=['["keys/authority.pub.pem"]'])


class UpdatesSection(Table):
    authority_keys: Files = Field(default=(), examples=['["keys/updates.pub.pem"]'])


class SoftwareSection(Table):
    """Software of meters that the owner approves or refuses, by the id that a meter names at every boot."""

    id: Annotated[bytes, BeforeValidator(hex32)] = Field(examples=[f'"{"0a" * 32}"'])
    approved: bool = True
    note: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, examples=['"esp32_s3 1.4.0, built twice and compared, 2026-03-02"']
    )


class MakersSection(Table):
    roots: Files = Field(default=(), examples=['["makers/root.pem"]'])
    revocation_lists: Files = Field(default=(), examples=['["makers/crl.pem"]'])


def _folder(value: Any, info: ValidationInfo) -> Any:
    path: Path = _path(value, info)
    if not path.is_dir():
        raise problem(f"{path} is not a folder", f"correct the path or run: mkdir {path}")
    return path


class CertificatesSection(Table):
    """Where digital certificates are kept, and whose signatures on them count."""

    folder: Annotated[Path, BeforeValidator(_folder)] | None = Field(default=None, examples=['"certificates"'])
    roots: Files = Field(default=(), examples=['["laboratories/*.pem"]'])
    timestamp_roots: Files = Field(default=(), examples=['["timestamps/*.pem"]'])
    revocation_lists: Files = Field(default=(), examples=['["laboratories/*.crl"]'])
    schemas: Annotated[Path, BeforeValidator(_folder)] | None = Field(default=None, examples=['"dcc-schemas"'])


class ComparisonsSection(Table):
    """Where comparison events are kept, and whose signatures on them count besides the gateway's own."""

    folder: Annotated[Path, BeforeValidator(_folder)] | None = Field(default=None, examples=['"comparisons"'])
    keys: Files = Field(default=(), examples=['["keys/verdict-2025.pub.pem"]'])


class ReportsSection(Table):
    """Who issues in-situ comparison reports. An accreditation is claimed only with its scope and by its
    signers.
    """

    name: Name = Field(examples=['"Metering department, Plant 7"'])
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] = Field(default="CN", examples=['"CN"'])
    city: Name = Field(examples=['"Urumqi"'])
    customer: Name = Field(examples=['"Plant 7"'])
    accreditation: Name | None = Field(default=None, examples=['"CNAS L0000"'])
    scope: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, examples=['"active power in situ, 1 kW to 700 kW"']
    )
    accredited_signers: Files = Field(default=(), examples=['["signers/li.crt"]'])

    @model_validator(mode="after")
    def _whole_claim(self) -> "ReportsSection":
        claimed = (self.accreditation is not None, self.scope is not None, bool(self.accredited_signers))
        if len(set(claimed)) > 1:
            remedy = "give accreditation, scope and accredited_signers, or none of them"
            raise problem("claims an accreditation by halves", remedy)
        return self


class TraceabilitySection(Table):
    certificates: Files = Field(default=(), examples=['["certificates/*.toml"]'])
    bindings: Files = Field(default=(), examples=['["bindings.toml"]'])
    checks: Files = Field(default=(), examples=['["checks.toml"]'])
    plausibility: Files = Field(default=(), examples=['["plausibility.toml"]'])
    utc_offset: Annotated[int, BeforeValidator(_utc_offset)] = Field(default=0, examples=['"+08:00"'])
    """Minutes; a certificate's dates begin at midnight there."""

    national_institutes: Annotated[tuple[Name, ...], BeforeValidator(as_tuple)] = Field(
        default=(), examples=['["National Institute of Metrology, China"]']
    )
    standard_ratio: int = Field(default=3, ge=1, le=100, examples=["3"])
    guard_band: Literal["simple", "guarded", "rss", "rp10", "dobbert"] = Field(
        default="simple", examples=['"guarded"']
    )
    guard_multiplier_percent: int = Field(default=100, ge=0, le=1000, examples=["100"])
    mpe_ratio: int = Field(default=3, ge=1, le=100, examples=["3"])
    max_clock_uncertainty_ms: int = Field(default=60_000, ge=0, le=86_400_000, examples=["60000"])
    max_sampling_jitter_ms: Annotated[int, Field(ge=0, le=86_400_000)] | None = Field(
        default=None, examples=["100"]
    )


class GatewayConfig(Table):
    """The whole file; `path` is where it was read from."""

    gateway: GatewaySection
    keys: KeysSection
    clock: ClockSection = ClockSection()
    listener: Annotated[tuple[Listener, ...], BeforeValidator(as_tuple)] = ()
    bus: Annotated[tuple[BusSection, ...], BeforeValidator(as_tuple)] = ()
    witness: Annotated[tuple[WitnessSection, ...], BeforeValidator(as_tuple)] = ()
    uplink: UplinkSection = UplinkSection()
    limits: LimitsSection = LimitsSection()
    parameters: ParametersSection = ParametersSection()
    updates: UpdatesSection = UpdatesSection()
    software: Annotated[tuple[SoftwareSection, ...], BeforeValidator(as_tuple)] = ()
    makers: MakersSection = MakersSection()
    certificates: CertificatesSection = CertificatesSection()
    comparisons: ComparisonsSection = ComparisonsSection()
    reports: ReportsSection | None = None
    traceability: TraceabilitySection = TraceabilitySection()
    _path: Path = PrivateAttr(default=Path())

    @property
    def path(self) -> Path:
        return self._path

    @property
    def listed_software(self) -> dict[bytes, bool]:
        """Whether the owner approves it, by software id."""
        return {software.id: software.approved for software in self.software}

    @model_validator(mode="after")
    def _fit(self) -> "GatewayConfig":
        if not self.listener and not self.witness:
            raise problem("has neither a [[listener]] nor a [[witness]]", "say where readings come from")
        for name, taken in (
            ("[[bus]] name", [bus.name for bus in self.bus]),
            ("[[witness]] name", [witness.name for witness in self.witness]),
            ("[[witness]] key", [witness.key.resolve() for witness in self.witness]),
            ("[[software]] id", [software.id for software in self.software]),
        ):
            if len(set(taken)) < len(taken):
                raise problem(f"a {name} is there twice", "give each its own")
        own = {self.keys.receipt.resolve(), self.keys.verdict.resolve(), self.keys.clock.resolve()}
        if own & {witness.key.resolve() for witness in self.witness}:
            raise problem("a [[witness]] key has another role", "give each witness a key of its own")
        if self.witness and self.clock.source is not None:
            raise problem("a [[witness]] needs the system's clock", 'write source = "system"')
        return self


def load_config(path: Path) -> GatewayConfig:
    """The configuration in `path`; ConfigError says in one line what to correct."""
    config = read(path, GatewayConfig)
    config._path = path
    return config
