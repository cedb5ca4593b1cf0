"""Whom the meter talks to over TLS, and as whom.

The peer's certificate is always verified against the CA file and the name; there is no switch for it. Mbed
TLS checks the validity period against the board's clock where the port is built with it: such a board needs
a plausible clock before its first connection.
"""

import binascii

from meter_firmware.links import LinkError


class TlsSettings:
    def __init__(
        self,
        ca: "str | bytes",
        server_hostname: str,
        client_certificate_file: "str | None" = None,
        client_key_file: "str | None" = None,
    ) -> None:
        """`ca` is a file, or a certificate in DER. Files are PEM or DER, a client key not encrypted. LinkError
        `tls_files` if one is of no use.
        """
        import tls  # boards without a network have none

        if not server_hostname or (client_certificate_file is None) != (client_key_file is None):
            raise LinkError("tls_files")
        self.server_hostname = server_hostname
        self.context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        self.context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined, unused-ignore]  # missing in some stubs
        try:
            for certificate in [ca] if isinstance(ca, bytes) else _blocks(ca):
                self.context.load_verify_locations(certificate)
            if client_certificate_file is not None and client_key_file is not None:
                own_certificate = _blocks(client_certificate_file)[0]
                self.context.load_cert_chain(own_certificate, _blocks(client_key_file)[-1])
        except (OSError, ValueError):
            raise LinkError("tls_files")


def _blocks(path: str) -> "list[bytes]":
    """The DER blocks of a file: not every port reads PEM, and none takes two DER blocks at once."""
    with open(path, "rb") as file:
        content = file.read()
    if b"-----BEGIN" not in content:
        return [content]
    blocks = []
    encoded: "bytearray | None" = None
    for line in content.split(b"\n"):
        line = line.strip()
        if line.startswith(b"-----BEGIN"):
            encoded = bytearray()
        elif line.startswith(b"-----END") and encoded is not None:
            blocks.append(binascii.a2b_base64(bytes(encoded)))
            encoded = None
        elif encoded is not None:
            encoded.extend(line)
    if not blocks:
        raise ValueError
    return blocks
