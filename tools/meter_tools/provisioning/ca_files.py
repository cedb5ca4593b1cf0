"""The maker's CA as a folder: root.pem, root.key.pem, with an issuing CA issuing.pem and issuing.key.pem, crl.pem.

`database` names the factory database from the first certificate on: who then gives the path of another that has no
board yet, has mistyped it, and would give out serial numbers twice.

Keys are encrypted with one passphrase (PKCS #8) and readable by their owner alone. With an issuing CA the root's
key is needed for `ca init` only, and belongs somewhere else afterwards.
"""

import contextlib
import datetime as dt
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from meter_gateway.texts import Told
from meter_tools.dry_run import check_folder
from meter_tools.provisioning import ca
from meter_tools.provisioning.ca import Authority

LIST = "crl.pem"
DATABASE = "database"
_PEM = serialization.Encoding.PEM
_ISSUING = ("issuing.key.pem", "issuing.pem")
_FILES = ("root.key.pem", *_ISSUING, LIST)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_USE = stat.S_IRWXO | stat.S_IWGRP


def create(folder: Path, maker: str, passphrase: bytes, now: dt.datetime, has_issuing: bool) -> Authority:
    """The authority that issues; Told if there is none to be made here."""
    check_new(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = ca.make_root(maker, now, has_issuing)
    issuing = ca.make_issuing(root, maker, now) if has_issuing else root
    _save_key(folder / "root.key.pem", root.key, passphrase)
    if has_issuing:
        _save_key(folder / "issuing.key.pem", issuing.key, passphrase)
        (folder / "issuing.pem").write_bytes(issuing.certificate.public_bytes(_PEM))
    save_list(folder, ca.make_list(issuing, [], 1, now))
    # Last, because it says that a CA is here.
    (folder / "root.pem").write_bytes(root.certificate.public_bytes(_PEM))
    return issuing


def names(has_issuing: bool) -> list[str]:
    """Of the files of a CA, in the order in which they are made."""
    return [name for name in (*_FILES, "root.pem") if has_issuing or name not in _ISSUING]


def check_new(folder: Path) -> None:
    """Told if the folder holds a CA already, or what is left of one, or cannot hold one."""
    if (folder / "root.pem").exists():
        raise Told("ca.exists", path=folder)
    for name in _FILES:
        if (folder / name).exists():
            raise Told("ca.unfinished", path=folder / name)
    check_folder(folder)
    if folder.exists():
        _refuse_open(folder, _OTHERS_WRITE, "go-w")


def load_issuing(folder: Path, passphrase: bytes) -> Authority:
    """The authority that issues, with its key."""
    certificate = load_certificate(folder)
    path = folder / f"{_issuing(folder)}.key.pem"
    try:
        _refuse_open(folder, _OTHERS_WRITE, "go-w")
        _refuse_open(path, _OTHERS_USE, "600")
        key = serialization.load_pem_private_key(path.read_bytes(), passphrase)
    except OSError as error:
        raise Told("ca.no_key", path=path, problem=error.strerror) from error
    except (TypeError, ValueError) as error:
        raise Told("ca.wrong_passphrase", path=path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise Told("ca.other_key", path=path)
    return Authority(certificate, key)


def load_certificate(folder: Path) -> x509.Certificate:
    return _load_certificate(folder / f"{_issuing(folder)}.pem")


def load_root(folder: Path) -> x509.Certificate:
    return _load_certificate(folder / "root.pem")


def load_list(folder: Path) -> x509.CertificateRevocationList:
    path = folder / LIST
    try:
        return x509.load_pem_x509_crl(path.read_bytes())
    except OSError as error:
        raise Told("ca.none", path=folder) from error
    except ValueError as error:
        raise Told("ca.damaged", path=path) from error


def revoke(
    folder: Path,
    authority: Authority,
    number: int,
    reason: x509.ReasonFlags,
    now: dt.datetime,
    dry_run: bool = False,
) -> bool:
    """Put the certificate of this number on the list; False if it is there. Two processes lose none."""
    with _alone(folder):
        listed = load_list(folder)
        if listed.get_revoked_certificate_by_serial_number(number) is not None:
            return False
        if not dry_run:
            save_list(folder, ca.revoke(authority, listed, number, reason, now))
    return True


def database_of(folder: Path) -> Path | None:
    """Where the boards that this CA has certified are recorded; None if it has certified none."""
    try:
        return Path((folder / DATABASE).read_text("utf-8").rstrip("\n"))
    except FileNotFoundError:
        return None


def note_database(folder: Path, path: Path) -> None:
    if database_of(folder) != path:
        (folder / DATABASE).write_text(f"{path}\n", "utf-8")


def save_list(folder: Path, listed: x509.CertificateRevocationList) -> None:
    """Whole or not at all."""
    fresh = folder / f".{LIST}.new"
    with fresh.open("wb") as file:
        file.write(listed.public_bytes(_PEM))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / LIST)


def _issuing(folder: Path) -> str:
    return "issuing" if (folder / "issuing.pem").exists() else "root"


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise Told("ca.none", path=path.parent) from error
    except ValueError as error:
        raise Told("ca.damaged", path=path) from error


def _refuse_open(path: Path, others: int, mode: str) -> None:
    found = stat.S_IMODE(path.stat().st_mode)
    if found & others:
        raise Told("ca.open", path=path, found=f"{found:04o}", mode=mode)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _save_key(path: Path, key: ec.EllipticCurvePrivateKey, passphrase: bytes) -> None:
    encryption = serialization.BestAvailableEncryption(passphrase)
    pem = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
