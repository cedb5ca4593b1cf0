"""What a boot does with its signer: tests it, knows it, and on failure seals nothing, says so, and tells later."""

from app_bench import METER_KEY, AppBench, commissioned, fill, parameter_set
from meter_bench import MINUTE

from meter_firmware import csr, signer_boot
from meter_firmware.memory import Memory
from meter_firmware.signers import key_file
from meter_firmware.signers.signer import SignerError
from meter_firmware.signers.software import SoftwareSigner
from meter_protocol import cose, events, messages
from meter_protocol import fields as f
from meter_protocol import types as t


class Console:
    def __init__(self, make_signer):
        self.make_signer = make_signer
        self.said = []

    def say(self, line):
        self.said.append(line)


def missing_element(memory):
    raise SignerError("no_response")


def reason_of(call, *arguments):
    try:
        call(*arguments)
    except SignerError as error:
        return error.reason
    return None


def test_a_failing_signer_is_said_noted_and_raised():
    board = Console(missing_element)
    memory = Memory("missing")
    assert reason_of(signer_boot.open_sealer, board, memory) == "no_response"
    assert board.said == ["signer failed: no_response"]
    assert signer_boot.noted_failure(memory) == "no_response"
    assert signer_boot.has_no_key(memory)
    signer_boot.forget_failure(memory)
    assert signer_boot.noted_failure(memory) is None


def test_the_devices_code_is_said():
    def refused(memory):
        raise SignerError("execution_failed", 0x0F)

    board = Console(refused)
    assert reason_of(signer_boot.open_sealer, board, Memory("refused")) == "execution_failed"
    assert board.said == ["signer failed: execution_failed 0x0f"]


def test_a_board_that_restarts_for_a_week_writes_its_note_once():
    writes = []

    class Counting(Memory):
        def write(self, name, value):
            writes.append(name)
            super().write(name, value)

    memory = Counting("week")
    for _ in range(5):
        reason_of(signer_boot.open_sealer, Console(missing_element), memory)
    assert writes == ["signer_failure"]


def test_another_key_than_the_boards_is_refused():
    memory = Memory("swapped")
    sealer = signer_boot.open_sealer(Console(lambda memory: SoftwareSigner(b"\x11" * 32)), memory)
    assert not signer_boot.has_no_key(memory)
    again = signer_boot.open_sealer(Console(lambda memory: SoftwareSigner(b"\x11" * 32)), memory)
    assert again.thumbprint == sealer.thumbprint
    other = Console(lambda memory: SoftwareSigner(b"\x12" * 32))
    assert reason_of(signer_boot.open_sealer, other, memory) == "public_key_changed"
    assert other.said == ["signer failed: public_key_changed"]


def test_a_key_that_fails_its_test_is_not_remembered():
    class Broken(SoftwareSigner):
        def sign(self, digest):
            return super().sign(digest)[:-1] + b"\x00"

    memory = Memory("broken")
    board = Console(lambda memory: Broken(b"\x11" * 32))
    assert reason_of(signer_boot.open_sealer, board, memory) == "self_test_sign"
    assert signer_boot.has_no_key(memory)


def damage(memory, name):
    for folder in memory._folders:
        with open(folder + "/" + name, "wb") as file:
            file.write(b"rotten")


def test_what_it_knew_of_its_key_is_damaged():
    """The key that is there is taken, but none is made in its place; a damaged note is still one."""
    memory = Memory("rot")
    board = Console(lambda memory: SoftwareSigner(b"\x11" * 32))
    sealer = signer_boot.open_sealer(board, memory)
    damage(memory, "public_key")
    assert not signer_boot.has_no_key(memory)
    assert signer_boot.open_sealer(board, memory).thumbprint == sealer.thumbprint
    other = Console(lambda memory: SoftwareSigner(b"\x12" * 32))
    assert reason_of(signer_boot.open_sealer, other, memory) == "public_key_changed"
    damage(memory, "signer_failure")
    assert signer_boot.noted_failure(memory) == "unknown"


# The whole firmware


def test_a_meter_whose_element_is_gone_seals_nothing_and_tells_when_it_is_back():
    bench = commissioned()
    sealed = len(list(bench.journal.records()))
    make_signer = bench.board.make_signer
    bench.board.make_signer = missing_element
    for _ in range(2):
        assert reason_of(bench.boot) == "no_response"
    assert bench.board.said[-1] == "signer failed: no_response"
    bench.board.make_signer = make_signer
    bench.boot()
    assert len(list(bench.journal.records())) == sealed + 2
    assert bench.event_names()[-2:] == ["boot", "self_test_failed"]
    assert bench.events(events.SELF_TEST_FAILED) == [{events.REASON: "no_response"}]
    bench.boot()
    assert bench.event_names()[-1] == "boot"


def test_a_note_that_found_no_room_is_kept_for_the_next_boot():
    bench = AppBench(1 << 16)
    fill(bench)
    bench.board.make_signer, make_signer = missing_element, bench.board.make_signer
    assert reason_of(bench.boot) == "no_response"
    bench.board.make_signer = make_signer
    bench.boot()
    assert signer_boot.noted_failure(bench.app._memory) == "no_response"


def test_an_element_that_fails_in_the_run_ends_the_app_and_the_next_boot_tells():
    bench = commissioned().boot()
    readings = len(bench.readings())

    class Failing(SoftwareSigner):
        def sign(self, digest):
            raise SignerError("watchdog")

    bench.app._sealer._signer = Failing(METER_KEY)
    assert reason_of(bench.run, bench.board.clock.now + 2 * MINUTE) == "watchdog"
    assert len(bench.readings()) == readings
    bench.boot()
    assert bench.events(events.SELF_TEST_FAILED) == [{events.REASON: "watchdog"}]


def test_nothing_that_leaves_the_board_holds_the_private_key():
    """Console, every message on the wire, the journal, the request: a key that the board drew itself."""
    bench = AppBench()
    board = bench.board
    keys = []

    def make_signer(memory):
        keys.append(key_file.private_key(memory, board.random))
        return SoftwareSigner(keys[-1])

    board.make_signer = make_signer
    # The bench's first boot had the fixed key: this board is another meter, with a flash of its own.
    board.name += "own"
    board.mounted = False
    bench.boot()
    bench.run(2 * MINUTE, lambda: bench.say(parameter_set(meter=bench.app._sealer.thumbprint)))
    bench.boot()
    assert len(keys) == 2
    assert keys[0] == keys[1]
    left = [line.encode() for line in board.said] + board.wire.sent
    left += [raw for _, _, raw in bench.journal.records()]
    left.append(csr.request(bench.app._sealer._signer, board.maker, board.factory.serial))
    identities = [raw for _, _, raw in bench.journal.records() if cose.split(raw).typ == t.IDENTITY]
    fields = messages.decode(t.IDENTITY, cose.split(identities[0]).payload)
    assert fields[f.KEY_PROTECTION] == f.KEY_SOFTWARE
    assert fields[f.PUBLIC_KEY] == bench.app._sealer.cose_key
    assert len(left) > 8
    for piece in left:
        for form in (keys[0], keys[0].hex().encode(), bytes(reversed(keys[0]))):
            assert form not in piece
