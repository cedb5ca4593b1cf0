"""The folder of imported certificates, and the changes that commands make to its TOML files and to bindings.

Everything is checked before anything is written, by the same code that reads it at the next start, and a file is
replaced whole or not at all. People edit these files too: what is there stays, and additions go to the end.
"""

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from meter_gateway.config import GatewayConfig
from meter_gateway.texts import Told
from meter_gateway.traceability.binding import load_bindings
from meter_gateway.traceability.certificate import Certificate
from meter_gateway.traceability.certificate_file import load_certificate
from meter_gateway.traceability.dcc import DccRefused
from meter_gateway.traceability.dcc.safe_xml import parse
from meter_gateway.traceability.dcc.schema import validate
from meter_gateway.traceability.dcc_file import (
    SUFFIX,
    DccFile,
    Imported,
    is_dcc_file,
    load_anchors,
    load_dcc,
    of_bytes,
)
from meter_gateway.traceability.mpe import load_tables
from meter_gateway.traceability.trust import check_bindings, load_certificates

_UNSAFE = re.compile(r"[^\w.-]+", re.ASCII)
_MAX_NAME = 80


def folder_of(config: GatewayConfig) -> Path:
    if config.certificates.folder is None:
        raise Told("certificate.no_folder", path=config.path)
    return config.certificates.folder


def import_dcc(config: GatewayConfig, octets: bytes, entry: DccFile) -> tuple[Path, Imported]:
    """The XML as it is and the TOML file beside it; nothing is written of what DccRefused or Told refuses."""
    folder = folder_of(config)
    if config.certificates.schemas is not None:
        validate(parse(octets), config.certificates.schemas)
    found = of_bytes(octets, entry, load_anchors(config.certificates))
    if not found.certificate.results:
        # Kept so, it would stand in the way of the same file with what is missing said.
        raise next((table.reason for table in found.reading.left_out), DccRefused("no_table"))
    name = _new_name(config, folder, found.certificate.identifier)
    described = entry.model_copy(update={"dcc": f"{name}.xml", "sha256": sha256(octets).digest()})
    replace_file(folder / f"{name}.xml", octets)
    path = folder / f"{name}{SUFFIX}"
    replace_file(path, _toml_of(described).encode())
    return path, load_dcc(path, load_anchors(config.certificates))


def import_paper(config: GatewayConfig, source: Path, scan: bytes | None) -> tuple[Path, Certificate]:
    """A certificate that was typed in, with the digest of its scan where that is given."""
    folder = folder_of(config)
    found = load_certificate(source, load_tables())
    text = source.read_text(encoding="utf-8")
    if scan is not None:
        digest = sha256(scan).digest()
        if found.scan_sha256 is None:
            text = f'scan_sha256 = "{digest.hex()}"\n{text}'
        elif found.scan_sha256 != digest:
            raise Told("certificate.other_scan", path=source)
    path = folder / f"{_new_name(config, folder, found.identifier)}.toml"
    replace_file(path, text.encode())
    return path, load_certificate(path, load_tables())


def _new_name(config: GatewayConfig, folder: Path, identifier: str) -> str:
    for path, known in load_certificates(config):
        if known.identifier == identifier:
            raise Told("certificate.known", id=identifier, path=path)
    name = _UNSAFE.sub("_", identifier).strip("._")[:_MAX_NAME].removesuffix(".dcc") or "certificate"
    # Two identifiers may differ in what no file name may have.
    if any((folder / f"{name}{end}").exists() for end in (".xml", ".toml", SUFFIX)):
        name = f"{name}-{sha256(identifier.encode()).hexdigest()[:8]}"
    return name


def file_of(config: GatewayConfig, identifier: str) -> tuple[Path, Certificate]:
    for path, known in load_certificates(config):
        if known.identifier == identifier:
            return path, known
    raise Told("certificate.unknown", id=identifier)


def add_end(path: Path, config: GatewayConfig, end: Mapping[str, Any]) -> None:
    """Refused by the same rules that read the file, before the file is another."""
    if is_dcc_file(path):
        anchors = load_anchors(config.certificates)
        _append(path, "[[end]]", end, lambda written: load_dcc(written, anchors))
    else:
        tables = load_tables()
        _append(path, "[[end]]", end, lambda written: load_certificate(written, tables))


def add_binding(path: Path, config: GatewayConfig, binding: Mapping[str, Any]) -> datetime | None:
    """Append it; an earlier one of the channel that still lasts gets the new one's beginning as its end."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    ended, text = _ended_before(text, binding)

    def check(written: Path) -> None:
        others = [each for each in config.traceability.bindings if each.resolve() != path.resolve()]
        bound = [(each, load_bindings(each)) for each in (*others, written)]
        check_bindings(config.path, bound, {c.identifier: c for _, c in load_certificates(config)})

    _append(path, "[[binding]]", binding, check, text)
    return ended


def _ended_before(text: str, binding: Mapping[str, Any]) -> tuple[datetime | None, str]:
    """The text with `to` in the one binding of the same meter and channel that has none."""
    heads = [found.start() for found in re.finditer(r"^\s*\[\[binding\]\]", text, re.MULTILINE)]
    for start, end in pairwise([*heads, len(text)]):
        block = text[start:end]
        same = (
            re.search(rf'^\s*meter\s*=\s*"{binding["meter"].hex()}"', block, re.MULTILINE | re.IGNORECASE)
            and re.search(rf"^\s*channel\s*=\s*{binding['channel']}\s*(#.*)?$", block, re.MULTILINE)
            and not re.search(r"^\s*to\s*=", block, re.MULTILINE)
        )
        if same:
            began = re.search(r"^\s*from\s*=[^\n]*\n?", block, re.MULTILINE)
            if began is None:
                continue
            place = start + began.end()
            line = f"to = {_toml(binding['from'])}\n"
            separator = "" if text[:place].endswith("\n") else "\n"
            return binding["from"], text[:place] + separator + line + text[place:]
    return None, text


def _append(
    path: Path,
    heading: str,
    values: Mapping[str, Any],
    check: Callable[[Path], object],
    text: str | None = None,
) -> None:
    before = text if text is not None else path.read_text(encoding="utf-8")
    lines = [heading, *(f"{key} = {_toml(value)}" for key, value in values.items() if value is not None)]
    separator = "" if not before or before.endswith("\n") else "\n"
    content = before + separator + ("\n" if before else "") + "\n".join(lines) + "\n"
    # In the same folder, so that what it refers to is found, and under a name that no pattern of files matches.
    trial = path.with_name(f"{path.name}.new")
    try:
        _write_durably(trial, content.encode())
        check(trial)
        trial.replace(path)
    finally:
        trial.unlink(missing_ok=True)


def _toml_of(entry: DccFile) -> str:
    top = {
        "dcc": entry.dcc, "sha256": entry.sha256, "imported": entry.imported, "due": entry.due,
        "due_source": entry.due_source,
    }  # fmt: skip
    lines = [f"{key} = {_toml(value)}" for key, value in top.items() if value is not None]
    for table in entry.table:
        fields = {name: getattr(table, name) for name in type(table).model_fields}
        lines += [
            "",
            "[[table]]",
            *(f"{key} = {_toml(value)}" for key, value in fields.items() if value is not None),
        ]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bytes):
        return f'"{value.hex()}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return _quoted(getattr(value, "name", value))


def _quoted(text: str) -> str:
    escaped = (
        f"\\u{ord(each):04x}" if ord(each) < 0x20 or ord(each) == 0x7F else f"\\{each}" if each in '"\\' else each
        for each in text
    )
    return f'"{"".join(escaped)}"'


def replace_file(path: Path, octets: bytes) -> None:
    """Whole or not at all, also where the power fails."""
    trial = path.with_name(f"{path.name}.new")
    _write_durably(trial, octets)
    trial.replace(path)


def _write_durably(path: Path, octets: bytes) -> None:
    with path.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
