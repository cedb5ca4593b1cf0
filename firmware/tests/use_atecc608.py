"""Runs on MicroPython: opens the ATECC608 behind a socket and does what the command line says, one JSON line each.

`use_atecc608.py PORT OPTION... ACTION...`: options `generate`, `slot=n`; actions `sign=hex`, `counter=n`, `csr`,
`renew`, `selftest`, `serial`. `prepare` and `lock` alone are the maker's setup. An error ends the run:
{"error", "code"}.
"""

import json
import sys

from socket_i2c import SocketI2c

from meter_firmware import csr
from meter_firmware.sealing import Sealer
from meter_firmware.signers import atecc608_setup
from meter_firmware.signers.atecc608 import Atecc608Signer
from meter_firmware.signers.signer import SignerError


def act(signer, name, value):
    if name == "sign":
        return signer.sign(bytes.fromhex(value)).hex()
    if name == "renew":
        signer.renew()
        return signer.public_key().hex()
    if name == "counter":
        return signer.read_counter(int(value))
    if name == "csr":
        return csr.request(signer, "maker", "SN-1").hex()
    if name == "selftest":
        return Sealer(signer).self_test()
    return signer.serial_number.hex()


def main(port, *words):
    i2c = SocketI2c(int(port))
    given = [(word + "=").split("=")[:2] for word in words]
    slot = [int(value) for name, value in given if name == "slot"]
    try:
        if words == ("prepare",):
            return atecc608_setup.prepare(i2c, sleep_us=i2c.sleep_us)
        if words == ("lock",):
            return atecc608_setup.lock_slot(i2c, sleep_us=i2c.sleep_us)
        signer = Atecc608Signer(i2c, slot[0] if slot else 0, generate="generate" in words, sleep_us=i2c.sleep_us)
        print(json.dumps(signer.public_key().hex()))
        for name, value in given:
            if name not in ("generate", "slot"):
                print(json.dumps(act(signer, name, value)))
    except SignerError as error:
        print(json.dumps({"error": error.reason, "code": error.code}))


main(*sys.argv[1:])
