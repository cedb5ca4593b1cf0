"""Key pairs as files: the private key for its owner alone, the public key beside it for everybody else."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meter_gateway.sealing import Sealer, role_line


def public_path(private: Path) -> Path:
    """receipt.pem -> receipt.pub.pem"""
    return private.with_suffix(".pub.pem")


def write_pair(sealer: Sealer, path: Path, passphrase: bytes | None = None) -> None:
    """Write both; FileExistsError rather than overwriting a key that signed something."""
    sealer.save(path, passphrase)
    pem = sealer.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with public_path(path).open("xb") as file:
        file.write(role_line(sealer.role) + pem)
