"""A tty's settings. A pty keeps speed but no parity, so what is set is looked at, not what comes of it."""

from meter_firmware.links import tty

INPUT_FLAGS, CONTROL_FLAGS, OUTPUT_SPEED, INPUT_SPEED, CONTROL_CHARACTERS = 0, 2, 4, 5, 6


def settings(baud, parity):
    raw = [0, 0, 0o277, 0, 15, 15, [0] * 32]
    raw[CONTROL_CHARACTERS][6] = b"\x01"
    tty.set_line(raw, baud, parity)
    return raw


def test_2400_baud_8e1():
    raw = settings(2400, "even")
    assert raw[OUTPUT_SPEED] == raw[INPUT_SPEED] == 11
    assert raw[CONTROL_FLAGS] == 0o277 | 0o400
    assert raw[INPUT_FLAGS] == 0o20, "a byte with a parity error must not arrive as it is"
    assert raw[CONTROL_CHARACTERS][5] == raw[CONTROL_CHARACTERS][6] == 0


def test_the_other_parities_and_the_lines_own_speed():
    assert settings(9600, "odd")[CONTROL_FLAGS] == 0o277 | 0o400 | 0o1000
    assert settings(9600, "none")[CONTROL_FLAGS] == 0o277
    assert settings(None, "none")[OUTPUT_SPEED] == 15


def test_numbers_of_the_speeds_that_termios_names():
    import termios

    for baud in tty.SPEEDS:
        assert getattr(termios, "B%d" % baud, tty.SPEEDS[baud]) == tty.SPEEDS[baud]


def test_what_a_line_cannot_have_is_refused():
    for baud, parity in ((2401, "none"), (2400, "mark"), (0, "none")):
        try:
            tty.Tty("/dev/null", baud, parity)
            raise AssertionError((baud, parity))
        except ValueError as error:
            assert str(error) == "baud or parity"
