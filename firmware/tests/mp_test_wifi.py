"""The Wi-Fi station under a link, against a stand-in for network.WLAN: a radio is not to be had on a host."""

import asyncio

from meter_firmware.links import REASONS, LinkError
from meter_firmware.links.backoff import Backoff
from meter_firmware.links.link import Link
from meter_firmware.links.wifi import RESTART_RADIO_AFTER, WifiTarget

CONNECTING, NOT_FOUND, WRONG_KEY, ASSOCIATION_FAILED, HANDSHAKE, GOT_IP = 1001, 201, 202, 203, 204, 1010


class Station:
    """As network.WLAN of the esp32 port; `ends` are the statuses that its attempts come to."""

    def __init__(self, ends):
        self.ends = list(ends)
        self.said = []
        self.is_active = False
        self.state = 1000
        self.polls = 0

    def active(self, value=None):
        if value is not None:
            self.said.append("on" if value else "off")
            self.is_active = value
            self.state = 1000
        return self.is_active

    def config(self, reconnects):
        self.said.append("reconnects %d" % reconnects)

    def connect(self, name, key):
        assert self.is_active and (name, key) == ("plant", "secret")
        end = self.ends.pop(0)
        if end == "busy":
            raise OSError("Wifi Internal Error")
        self.said.append("connect")
        self.state, self.polls, self._end = CONNECTING, 2, end

    def disconnect(self):
        self.said.append("disconnect")
        self.state = 1000

    def status(self):
        if self.state == CONNECTING:
            self.polls -= 1
            if self.polls <= 0:
                self.state = self._end
        return self.state

    def isconnected(self):
        return self.state == GOT_IP


class Target:
    def __init__(self):
        self.opened = 0

    async def open(self):
        self.opened += 1
        return "stream"


def _target(ends, timeout_ms=1000):
    station, target = Station(ends), Target()
    return station, target, WifiTarget(station, "plant", "secret", target, timeout_ms)


async def _reason(wifi):
    try:
        await wifi.open()
    except LinkError as error:
        return error.reason
    return None


async def test_the_station_is_brought_up_once_and_kept():
    station, target, wifi = _target([GOT_IP])
    assert await wifi.open() == "stream"
    assert await wifi.open() == "stream"
    assert station.said == ["on", "reconnects 0", "connect"]
    assert target.opened == 2


async def test_each_refusal_has_its_reason_and_opens_nothing():
    for end, reason in (
        (NOT_FOUND, "wifi_not_found"),
        (WRONG_KEY, "wifi_key_refused"),
        (HANDSHAKE, "wifi_key_refused"),
        (ASSOCIATION_FAILED, "wifi_refused"),
        ("busy", "wifi_busy"),
        (CONNECTING, "wifi_timeout"),
    ):
        station, target, wifi = _target([end], 250)
        assert await _reason(wifi) == reason
        assert reason in REASONS
        assert target.opened == 0
        assert ("disconnect" in station.said) == (reason in ("wifi_busy", "wifi_timeout"))


async def test_a_network_that_was_lost_is_joined_again():
    station, _, wifi = _target([GOT_IP, NOT_FOUND, GOT_IP])
    await wifi.open()
    station.state = NOT_FOUND
    assert await _reason(wifi) == "wifi_not_found"
    assert await wifi.open() == "stream"
    assert station.said == ["on", "reconnects 0", "connect", "connect", "connect"]


async def test_a_radio_that_fails_again_and_again_is_restarted():
    station, _, wifi = _target([NOT_FOUND] * (2 * RESTART_RADIO_AFTER + 1))
    for _ in range(2 * RESTART_RADIO_AFTER + 1):
        assert await _reason(wifi) == "wifi_not_found"
    restarts = [index for index, said in enumerate(station.said) if said == "off"]
    assert len(restarts) == 2
    for index in restarts:
        assert station.said[index : index + 4] == ["off", "on", "reconnects 0", "connect"]


async def test_a_network_that_was_joined_between_failures_is_no_reason_to_restart_the_radio():
    """A count that no success ends would switch off a radio that works, at every third dip of a year."""
    station, _, wifi = _target(([NOT_FOUND] * (RESTART_RADIO_AFTER - 1) + [GOT_IP]) * 3)
    for _ in range(3):
        station.state = NOT_FOUND
        for _ in range(RESTART_RADIO_AFTER - 1):
            assert await _reason(wifi) == "wifi_not_found"
        assert await wifi.open() == "stream"
    assert "off" not in station.said


async def test_under_a_link_it_is_tried_for_ever_at_random_distances():
    """The link's own back-off is between the attempts; nothing raises out of it."""
    _, _, wifi = _target([NOT_FOUND, "busy"] * 20, 50)
    delays = []

    class Recording(Backoff):
        def next_delay_ms(self):
            delays.append(super().next_delay_ms())
            return 0

    heard = []
    link = Link(wifi.open, Recording(lambda limit: limit // 3, 400, 1600), heard.append)
    task = asyncio.create_task(link.run())
    while len(heard) < 8:
        await asyncio.sleep_ms(10)
    task.cancel()
    assert heard[:4] == ["wifi_not_found", "wifi_busy"] * 2
    assert delays[:5] == [267, 533, 1067, 1067, 1067], delays
