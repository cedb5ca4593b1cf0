"""Stands in for the C module of firmware/native where there is none: same names, the work done by p256.py.

It signs with the higher s, as a C library may: the seam has to bring that to low-S. `calls` says what was used.
"""

from meter_firmware import p256
from meter_firmware.low_s import N

calls = []


def public_key(private):
    calls.append("public_key")
    return p256.public_key(private)


def sign(private, digest):
    calls.append("sign")
    signature = p256.sign(private, digest)
    return signature[:32] + (N - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")


def verify(public, digest, signature):
    calls.append("verify")
    return p256.verify(public, digest, signature)
