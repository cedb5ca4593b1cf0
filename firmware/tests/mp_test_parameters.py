"""Which sealed sets this firmware applies, and why it refuses the others."""

from app_bench import AUTHORITY, METER, STRANGER, channel, instrument, parameter_set, set_fields

from meter_firmware import parameters
from meter_firmware.metering import MeanChannel, RegisterChannel
from meter_protocol import fields as f
from meter_protocol.errors import ProtocolError

KEYS = [AUTHORITY.cose_key]


def _reason(version=2, current=1, sealer=AUTHORITY, **other):
    try:
        parameters.open_set(parameter_set(version, sealer, **other), KEYS, METER.thumbprint, current)
    except ProtocolError as error:
        return error.reason
    return None


def _mapped(quantity="co2_fraction", lowest=0, highest=10**9):
    rows = [["gas", quantity, 3, 0, "int64", 0, lowest, highest]]
    return instrument(driver="register_map", serial=None, options=rows)


def _gas(**other):
    return channel(1, indication="gas", quantity="co2_fraction", kind=f.CHANNEL_MEAN, modulus=None, **other)


def test_a_set_that_fits_is_opened_whole():
    opened = parameters.open_set(parameter_set(2), KEYS, METER.thumbprint, 1)
    assert opened.fields[f.SET_VERSION] == 2
    assert opened.raw == parameter_set(2)
    assert len(opened.hash) == 32
    assert _reason(instruments=[_mapped()], channels=[_gas()]) is None


def test_only_the_authority_and_only_upwards():
    assert _reason(sealer=STRANGER) == "unknown_key"
    assert _reason(sealer=METER) == "unknown_key"
    assert _reason(meter=STRANGER.thumbprint) == "not_for_us"
    assert _reason(version=1) == "parameters_not_newer"
    assert _reason(version=0) == "parameters_not_newer"
    assert _reason(version=0, current=None) is None


def test_every_content_that_does_not_fit_has_its_own_reason():
    unused = instrument(driver="abacus", serial=None)
    slow = instrument(driver="scd41", address=0x62)
    for reason, other in (
        ("parameters_sample_period", {"period_ms": 7000}),
        ("parameters_sample_period", {"period_ms": 120000}),
        ("parameters_sample_period", {"period_ms": 2500, "instruments": [slow]}),
        ("parameters_no_channel", {"channels": []}),
        ("parameters_driver", {"instruments": [instrument(driver="abacus")]}),
        ("parameters_driver", {"instruments": [instrument(), unused]}),
        ("parameters_driver", {"instruments": [instrument(options=[["a", 1]])]}),
        ("parameters_driver", {"instruments": [instrument(driver="register_map")]}),
        ("parameters_address", {"instruments": [instrument(address=0)]}),
        ("parameters_address", {"instruments": [instrument(address=256)]}),
        ("parameters_address", {"instruments": [instrument(), instrument(address=2**32 - 1)]}),
        ("parameters_indication", {"channels": [channel(indication="entropy")]}),
        ("parameters_quantity", {"channels": [channel(quantity="volume")]}),
        ("parameters_quantity", {"instruments": [_mapped("phlogiston")], "channels": [_gas()]}),
        ("parameters_scale", {"channels": [channel(exponent=3)]}),
        ("parameters_scale", {"channels": [channel(modulus=10**7)]}),
        ("parameters_scale", {"channels": [channel(modulus=None)]}),
        ("parameters_kind", {"instruments": [_mapped()], "channels": [_gas_register()]}),
        ("parameters_ratio", {"channels": [channel(ratio=10**9)]}),
        ("parameters_ratio", {"instruments": [_mapped(highest=2**60)], "channels": [_gas(ratio=3)]}),
        ("parameters_ratio", {"instruments": [_mapped(lowest=-(2**62))], "channels": [_gas()]}),
    ):
        assert _reason(**other) == reason, (reason, other)


def _gas_register():
    entry = _gas()
    entry[f.CHANNEL_KIND] = f.CHANNEL_REGISTER
    return entry


def test_the_largest_ratio_that_is_allowed_cannot_overflow_a_message():
    # 10^12 x 2,305,843 is just below 2^61.
    assert _reason(channels=[channel(ratio=2305843)]) is None
    assert _reason(channels=[channel(ratio=2305844)]) == "parameters_ratio"


def test_a_register_stays_itself_under_another_ratio_and_on_another_bus():
    before = set_fields(1)
    same = parameters.same_register
    assert same(before, set_fields(2), 1)
    assert same(before, set_fields(2, channels=[channel(ratio=80)]), 1)
    assert same(before, set_fields(2, instruments=[instrument(bus="bus1", address=9)]), 1)
    assert same(
        before, set_fields(2, instruments=[instrument(serial="B"), instrument()], channels=[channel(index=1)]), 1
    )


def test_another_instrument_or_quantity_is_another_register():
    before = set_fields(1)
    same = parameters.same_register
    assert not same(None, before, 1)
    assert not same(before, None, 1)
    assert not same(before, before, 2)
    assert not same(before, set_fields(2, instruments=[instrument(serial="Z9")]), 1)
    assert not same(before, set_fields(2, instruments=[instrument(serial=None)]), 1)
    assert not same(before, set_fields(2, instruments=[instrument(driver="pzem004t")]), 1)
    lagging = channel(indication="reactive_energy_lagging", quantity="reactive_energy_lagging")
    assert not same(before, set_fields(2, channels=[lagging]), 1)
    assert not same(before, set_fields(2, channels=[channel(kind=f.CHANNEL_MEAN)]), 1)


def test_without_a_serial_number_the_place_decides():
    before = set_fields(1, instruments=[instrument(serial=None)])
    same = parameters.same_register
    assert same(before, set_fields(2, instruments=[instrument(serial=None)]), 1)
    assert not same(before, set_fields(2, instruments=[instrument(serial=None, address=2)]), 1)
    assert not same(before, set_fields(2, instruments=[instrument(serial=None, bus="bus1")]), 1)


def test_channels_are_made_as_the_set_says():
    mean = channel(2, indication="active_power", quantity="active_power", kind=f.CHANNEL_MEAN, modulus=None)
    made = parameters.make_channels(set_fields(1, channels=[channel(1, ratio=80), mean]))
    assert isinstance(made[1], RegisterChannel)
    assert (made[1].ratio, made[1].modulus) == (80, 10**12)
    assert isinstance(made[2], MeanChannel)
