"""provision.toml: what all boards of a run have in common. Relative paths are relative to the file."""

from pathlib import Path
from typing import Annotated, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import AfterValidator, Field, model_validator

from meter_gateway.config import AnyPath, ExistingFile, Files, KeyFile, Port, SecretFile
from meter_gateway.validated_toml import ConfigError, Table, problem, read
from meter_protocol import first_contact as fc

MAX_CA_CERTIFICATE = 2048
"""SPEC §16.2."""

PROTECTIONS = {"software": 0, "native": 1, "secure_element": 2}

SERIAL_PATTERN = r"[A-Za-z0-9'()+,.:=?-]([A-Za-z0-9 '()+,.:=?-]{0,62}[A-Za-z0-9'()+,.:=?-])?"
"""A certificate's serialNumber is a PrintableString of 1 to 64 (RFC 5280 A.1); without `/`, it names files."""

SSID_BYTES, TEXT_BYTES = 32, 64


def _at_most(size: int) -> AfterValidator:
    """SPEC §16.2 counts bytes of UTF-8, of which a Chinese character has three."""

    def check(text: str) -> str:
        if len(text.encode()) > size:
            raise problem(f"is longer than {size} bytes", "shorten it; a Chinese character is three bytes")
        return text

    return AfterValidator(check)


Text = Annotated[str, Field(min_length=1), _at_most(TEXT_BYTES)]


class BoardSection(Table):
    """What the maker knows of a model: the certificate states this key protection, not the board's own word."""

    key_protection: Annotated[str, Field(pattern="^(software|native|secure_element)$")] = Field(
        examples=['"native"']
    )


class LinkSection(Table):
    """The broker of boards that speak MQTT."""

    host: Text = Field(examples=['"broker.example"'])
    port: Port = Field(default=8883, examples=["8883"])
    wifi_ssid: Annotated[str, Field(min_length=1), _at_most(SSID_BYTES)] | None = Field(
        default=None, examples=['"plant"']
    )
    wifi_password_file: SecretFile | None = Field(default=None, examples=['"secrets/wifi"'])
    username: Text | None = Field(default=None, examples=['"meter"'])
    password_file: SecretFile | None = Field(default=None, examples=['"secrets/mqtt"'])
    server_name: Text | None = Field(default=None, examples=['"broker.example"'])
    ca_file: ExistingFile | None = Field(default=None, examples=['"broker-ca.pem"'])

    @model_validator(mode="after")
    def _complete(self) -> "LinkSection":
        if (self.server_name is None) != (self.ca_file is None):
            raise problem("server_name and ca_file belong together", "give both for TLS, or neither")
        return self


class SerialSection(Table):
    """How serial numbers are counted where none is given; `next` only where the database knows none yet."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9'()+,.:=?-]{1,48}$")] = Field(
        default="CM-", examples=['"CM-"']
    )
    digits: int = Field(default=6, ge=1, le=12, examples=["6"])
    next: int = Field(default=1, ge=0, examples=["1"])


class LabelSection(Table):
    folder: AnyPath = Field(examples=['"labels"'])
    font: ExistingFile | None = Field(default=None, examples=['"NotoSansSC-Regular.ttf"'])
    """For names that are not in Latin letters (TrueType)."""


class Settings(Table):
    ca: AnyPath = Field(examples=['"ca"'])
    authority_key: KeyFile = Field(examples=['"authority.pem"'])
    database: AnyPath = Field(examples=['"factory.sqlite"'])
    update_keys: Files = Field(default=(), examples=['["updates.pub.pem"]'])
    parameters: ExistingFile | None = Field(default=None, examples=['"default.toml"'])
    serial: SerialSection = SerialSection()
    link: LinkSection | None = Field(default=None)
    label: LabelSection
    boards: dict[str, BoardSection] = Field(min_length=1)


def load(path: Path) -> Settings:
    return read(path, Settings)


def link_fields(path: Path, link: LinkSection | None) -> dict[int, Any] | None:
    """As the record holds it; ConfigError if a secret or the CA does not fit."""
    if link is None:
        return None
    certificate = None
    if link.ca_file is not None:
        try:
            certificate = x509.load_pem_x509_certificate(link.ca_file.read_bytes()).public_bytes(Encoding.DER)
        except ValueError:
            raise ConfigError(
                path, "link.ca_file", "is not a certificate in PEM", "give the broker's CA"
            ) from None
        if len(certificate) > MAX_CA_CERTIFICATE:
            told = f"is larger than {MAX_CA_CERTIFICATE} bytes"
            raise ConfigError(path, "link.ca_file", told, "use a CA with a smaller certificate")
    return {
        fc.LINK_WIFI_SSID: link.wifi_ssid,
        fc.LINK_WIFI_PASSWORD: _secret(path, "link.wifi_password_file", link.wifi_password_file),
        fc.LINK_HOST: link.host,
        fc.LINK_PORT: link.port,
        fc.LINK_USERNAME: link.username,
        fc.LINK_PASSWORD: _secret(path, "link.password_file", link.password_file),
        fc.LINK_SERVER_NAME: link.server_name,
        fc.LINK_CA_CERTIFICATE: certificate,
    }


def _secret(path: Path, key: str, file: Path | None) -> str | None:
    if file is None:
        return None
    with file.open("rb") as opened:
        octets = opened.read(TEXT_BYTES + 3).strip()
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = ""
    if not 0 < len(octets) <= TEXT_BYTES or not text:
        told = f"does not hold 1 to {TEXT_BYTES} bytes of UTF-8"
        raise ConfigError(path, key, told, "put the password alone into the file")
    return text
