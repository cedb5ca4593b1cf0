"""Runs on MicroPython: `make_csr.py software|native PRIVATE MAKER SERIAL`, each in hex, names as UTF-8.

Prints the request in hex. For native, the folder of the stand-in is on the path.
"""

import sys

from meter_firmware import csr


def main(kind, private, maker, serial):
    if kind == "native":
        from meter_firmware.signers.native import NativeSigner as Signer  # noqa: PLC0415  the module may be absent
    else:
        from meter_firmware.signers.software import SoftwareSigner as Signer  # noqa: PLC0415
    signer = Signer(bytes.fromhex(private))
    print(csr.request(signer, bytes.fromhex(maker).decode(), bytes.fromhex(serial).decode()).hex())


main(*sys.argv[1:])
