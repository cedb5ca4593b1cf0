"""Attacks that must be rejected, by name, each with the reason that it must get.

An attack is built from a message that would be accepted as it is, by changing one thing.
"""

from collections.abc import Callable
from typing import NamedTuple

from scene import Scene

from meter_protocol import cose


class Attack(NamedTuple):
    reason: str
    build: Callable[[Scene], bytes]


ATTACKS: dict[str, Attack] = {}


def attack(reason: str) -> Callable[[Callable[[Scene], bytes]], Callable[[Scene], bytes]]:
    """The function's name is the attack's."""

    def register(build: Callable[[Scene], bytes]) -> Callable[[Scene], bytes]:
        ATTACKS[build.__name__] = Attack(reason, build)
        return build

    return register


def parts(scene: Scene) -> cose.Sign1:
    return cose.split(scene.meter.readings())
