"""Stand-ins for the modules that only a board has. Each takes what the stubs of its port declare, and notes it.

They do nothing: what they are for is that a board's own files run, on the real interpreter, as far as its buses,
its link and its signer. test_boards_on_stand_ins.py holds every name and every keyword here against the stubs.
"""

said = []
"""(what, positional arguments, keyword arguments), in order."""


def note(what, arguments, keywords):
    said.append((what, arguments, keywords))


class Pin:
    IN, OUT, PULL_UP = 0, 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        note("Pin", (id, mode, pull), {"value": value})
        self._level = 1 if value is None else value

    def value(self, x=None):
        if x is None:
            return self._level
        self._level = x
        return None

    def irq(self, handler=None, trigger=3, *, hard=False):
        note("Pin.irq", (trigger,), {"hard": hard})


class UART:
    def __init__(self, id, baudrate=9600, bits=8, parity=None, stop=1, *, timeout=0, rxbuf=None, tx=None, rx=None):
        note("UART", (id, baudrate, bits, parity, stop), {"timeout": timeout, "rxbuf": rxbuf, "tx": tx, "rx": rx})

    def any(self):
        return 0

    def read(self, nbytes=-1):
        return None

    def readinto(self, buf, nbytes=-1):
        return None

    def write(self, buf):
        return len(buf)

    def flush(self):
        pass


class SPI:
    def __init__(self, id, *, baudrate=1000000, polarity=0, phase=0):
        note("SPI", (id,), {"baudrate": baudrate, "polarity": polarity, "phase": phase})

    def write(self, buf):
        pass

    def readinto(self, buf, write=0):
        pass

    def write_readinto(self, write_buf, read_buf):
        pass


class I2C:
    def __init__(self, id, *, scl=None, sda=None, freq=400000, timeout=50000):
        note("I2C", (id,), {"freq": freq, "timeout": timeout})

    def writeto(self, addr, buf, stop=True):
        raise OSError(19)

    def readfrom(self, addr, nbytes, stop=True):
        raise OSError(19)

    def readfrom_mem(self, addr, memaddr, nbytes):
        raise OSError(19)

    def writeto_mem(self, addr, memaddr, buf):
        raise OSError(19)


class SoftI2C(I2C):
    def __init__(self, scl, sda, *, freq=400000, timeout=50000):
        super().__init__(-1, scl=scl, sda=sda, freq=freq, timeout=timeout)


class WDT:
    def __init__(self, id=0, timeout=5000):
        note("WDT", (id,), {"timeout": timeout})

    def feed(self):
        note("WDT.feed", (), {})


def unique_id():
    return b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"


def reset():
    note("reset", (), {})


class LAN:
    def __init__(self):
        note("LAN", (), {})

    def active(self, is_active=None):
        return False

    def config(self, **settings):
        pass

    def isconnected(self):
        return False

    def status(self):
        return 0


class WLAN:
    IF_STA = 0

    def __init__(self, interface_id):
        note("WLAN", (interface_id,), {})

    def active(self, is_active=None):
        return False

    def isconnected(self):
        return False


class USB_VCP:
    def __init__(self, id=0):
        note("USB_VCP", (id,), {})

    def any(self):
        return 0

    def read(self, nbytes=-1):
        return None

    def readinto(self, buf, maxlen=-1):
        return None

    def write(self, buf):
        return len(buf)


class Partition:
    """Backed by the test's flash; blocks of 4 KiB as ESP-IDF has them."""

    TYPE_DATA, RUNNING = 1, 1
    flash = None

    def __init__(self, id):
        note("Partition", (id,), {})

    @classmethod
    def find(cls, type=0, subtype=0xFF, label=None, block_size=4096):
        note("Partition.find", (type,), {"label": label})
        return [cls.flash]

    def readblocks(self, block_num, buf, offset=0):
        buf[:] = bytes(len(buf))

    def writeblocks(self, block_num, buf, offset=0):
        pass

    def ioctl(self, cmd, arg):
        return None


class Module:
    def __init__(self, **names):
        for name in names:
            setattr(self, name, names[name])
