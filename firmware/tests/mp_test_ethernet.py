"""Ethernet under a link, against a stand-in for network.LAN of the stm32 port: a host has none."""

from meter_firmware.links import LinkError
from meter_firmware.links.ethernet import RESTART_AFTER, EthernetTarget


class Lan:
    """`cable` and `leases` are what is outside; ports/stm32/eth.c says what these calls do to a controller."""

    def __init__(self):
        self.said = []
        self.cable = True
        self.leases = True
        self.is_broken = False
        self.latched_loss = True
        self.running = False

    def config(self, low_power):
        assert not low_power
        self.said.append("wake")

    def status(self):
        if self.latched_loss:
            self.latched_loss = False
            return 0
        return 1 if self.cable else 0

    def active(self, on):
        self.said.append("on" if on else "off")
        if on:
            assert self.cable, "waits ten seconds for a cable"
            if self.is_broken:
                raise OSError(110)
        self.running = on

    def isconnected(self):
        return self.running and self.leases


class Broker:
    def __init__(self):
        self.refuses = False

    async def open(self):
        if self.refuses:
            raise LinkError("connect_refused")
        return "stream"


def _target(timeout_ms=50):
    lan, broker = Lan(), Broker()
    return lan, broker, EthernetTarget(lan, broker, timeout_ms)


async def _reason(target):
    try:
        await target.open()
    except LinkError as error:
        return error.reason
    return None


async def test_the_interface_is_started_once():
    lan, _, target = _target()
    for _ in range(3):
        assert await target.open() == "stream"
    assert lan.said == ["wake", "on"]


async def test_without_a_cable_nothing_is_started():
    lan, _, target = _target()
    lan.cable = False
    for _ in range(5):
        assert await _reason(target) == "ethernet_no_cable"
    assert "on" not in lan.said
    lan.cable = True
    assert await target.open() == "stream"


async def test_no_address_and_a_broken_controller_are_told():
    lan, _, target = _target()
    lan.leases = False
    assert await _reason(target) == "ethernet_no_address"
    lan.leases = True
    assert await target.open() == "stream"
    lan, _, target = _target()
    lan.is_broken = True
    assert await _reason(target) == "ethernet_failed"
    lan.is_broken = False
    assert await target.open() == "stream"


async def test_what_fails_again_and_again_is_started_anew():
    lan, broker, target = _target()
    assert await target.open() == "stream"
    broker.refuses = True
    for _ in range(RESTART_AFTER):
        assert await _reason(target) == "connect_refused"
    assert lan.said == ["wake", "on"]
    broker.refuses = False
    assert await target.open() == "stream"
    assert lan.said == ["wake", "on", "off", "wake", "on"]
    assert await target.open() == "stream"
    assert lan.said == ["wake", "on", "off", "wake", "on"]
