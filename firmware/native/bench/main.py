"""Frozen in the place of a board's main.py for `make bench-board`, or run as a script on the host's MicroPython.

What signing costs, where the interpreter has the native module, and what one interval of ten channels costs. The
last line is "done".
"""

from gauge import Cost
from interval import measure_interval

from meter_firmware import native_module, p256
from meter_firmware.signers.native import NativeSigner
from meter_firmware.signers.software import SoftwareSigner

PRIVATE = b"a key of 32 bytes, known to all."
DIGEST = b"and a digest of the same size..."


def signing(native):
    """Costs by name."""
    costs = {}

    def measured(name, call, *arguments):
        costs[name] = Cost()
        return costs[name].of(call, *arguments)

    public = measured("native_public_key", native.public_key, PRIVATE)
    signature = measured("native_sign", native.sign, PRIVATE, DIGEST)
    measured("native_sign_seam", NativeSigner(PRIVATE).sign, DIGEST)
    measured("native_verify", native.verify, public, DIGEST, signature)
    # The first use makes a table.
    measured("python_public_key_first", p256.public_key, PRIVATE)
    same = measured("python_public_key", p256.public_key, PRIVATE) == public
    same = measured("python_sign", p256.sign, PRIVATE, DIGEST) == signature and same
    if not measured("python_verify", p256.verify, public, DIGEST, signature) or not same:
        raise ValueError("the two signers differ")
    return costs


def main():
    if native_module.module is None:
        costs = measure_interval(SoftwareSigner(PRIVATE))
    else:
        costs = signing(native_module.module)
        costs.update(measure_interval(NativeSigner(PRIVATE)))
    # Not before: how long a line waits for the emulator's host differs from run to run.
    for name in costs:
        costs[name].tell(name)
    print("done")


main()
