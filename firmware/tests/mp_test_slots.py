"""What becomes of a trial, of a damaged slot, and of what has to be said about it."""

from update_bench import GOLDEN_ID, MOUNT, SITE, STRANGER, Meter, Update, codes, damage, pack, release

from meter_firmware import update
from meter_firmware.slots import ATTEMPTS, MAX_CRASHES, MAX_FAILED, Slots
from meter_firmware.software import GOLDEN
from meter_protocol import cbor, events

FIRST = Update(5, pack(release(1)))
SECOND = Update(6, pack(release(2)))

# Trials


def test_the_golden_copy_hands_over_to_a_and_a_to_b_and_b_to_a():
    meter = Meter().update(FIRST)
    assert (meter.life.running, meter.boot().running) == ("a", "a")
    meter.update(SECOND)
    assert meter.life.running == "b"
    third = Update(7, pack(release(3)))
    meter.update(third)
    assert meter.life.running == "a"
    updates = [details for code, details in meter.chain if code == events.FIRMWARE_UPDATED]
    before = [details[events.SOFTWARE_BEFORE] for details in updates]
    assert before == [GOLDEN_ID, FIRST.digest, SECOND.digest]
    assert [details[events.MANIFEST] for details in updates] == [FIRST.manifest, SECOND.manifest, third.manifest]


def test_a_trial_has_so_many_boots():
    meter = Meter().update(FIRST)
    meter.install(SECOND)
    for _ in range(ATTEMPTS - 1):
        assert meter.life.on_trial
        assert meter.life.software_id == SECOND.digest
        meter.boot()
    assert meter.boot().software_id == FIRST.digest
    meter.life.turn()
    assert meter.chain[-1] == (
        events.UPDATE_ROLLED_BACK,
        {events.SOFTWARE_ID: SECOND.digest, events.REASON: "update_health"},
    )
    assert meter.life.refused(SECOND.manifest) == "update_health"
    assert meter.boot().refused(SECOND.manifest) == "update_health"
    assert codes(meter.chain).count(events.UPDATE_ROLLED_BACK) == 1


def test_a_trial_has_so_much_time():
    meter = Meter()
    meter.install(FIRST)
    meter.life.services.now_ms = update.HEALTH_MS - 1
    meter.life.turn()
    assert not meter.life.updater.restart_wanted
    meter.life.services.now_ms = update.HEALTH_MS
    meter.life.turn()
    assert meter.life.updater.restart_wanted
    assert meter.boot().running == GOLDEN
    meter.life.turn()
    assert codes(meter.chain) == [events.UPDATE_ROLLED_BACK]


def test_what_is_proven_may_go_without_receipts():
    meter = Meter().update(FIRST)
    life = meter.boot()
    life.services.now_ms = 100 * update.HEALTH_MS
    life.turn()
    assert not life.updater.restart_wanted
    assert meter.boot().software_id == FIRST.digest
    assert codes(meter.chain) == [events.FIRMWARE_UPDATED]


def test_the_time_of_a_trial_begins_anew_with_every_receipt():
    """What waited before the boot is receipted first, and may be a gateway's work of hours."""
    meter = Meter()
    meter.install(FIRST)
    services = meter.life.services
    for sequence in range(5):
        services.unreceipted = (b"epoch", sequence)
        meter.life.turn()
        services.now_ms += update.HEALTH_MS - 1
        meter.life.turn()
        assert not meter.life.updater.restart_wanted
    services.now_ms += 1
    meter.life.turn()
    assert meter.life.updater.restart_wanted


def test_a_rolled_back_image_comes_again_under_a_new_manifest():
    meter = Meter().update(FIRST)
    meter.install(SECOND)
    for _ in range(ATTEMPTS):
        meter.boot()
    meter.life.turn()
    assert meter.life.refused(SECOND.manifest) == "update_health"
    again = Update(7, SECOND.image)
    meter.update(again)
    assert meter.boot().software_id == SECOND.digest == again.digest


def test_a_receipt_in_the_last_boot_is_enough():
    meter = Meter()
    meter.install(FIRST)
    for _ in range(ATTEMPTS - 1):
        meter.boot()
    meter.prove()
    for _ in range(ATTEMPTS + 1):
        assert meter.boot().software_id == FIRST.digest
    assert codes(meter.chain) == [events.FIRMWARE_UPDATED]


def test_an_event_waits_for_room_and_everything_else_for_the_event():
    meter = Meter()
    meter.install(FIRST)
    services = meter.life.services
    services.has_room = False
    services.receipted = True
    for services.now_ms in range(0, 4 * update.SAY_RETRY_MS, 200):
        meter.life.turn()
    # Each attempt costs a signature.
    assert services.tried == 4
    assert meter.life.refused(SECOND.manifest) is None
    meter.life.turn()
    assert services.asked == []
    services.has_room = True
    services.now_ms += update.SAY_RETRY_MS
    meter.life.turn()
    assert codes(meter.chain) == [events.FIRMWARE_UPDATED]
    assert services.asked == [(SECOND.digest, 0)]


def test_an_event_that_power_cut_off_from_its_note_is_not_said_again():
    meter = Meter()
    meter.install(FIRST)
    meter.life.slots.confirm()
    meter.chain.append(meter.life.slots.first_unsaid())
    meter.boot().turn()
    meter.life.turn()
    assert codes(meter.chain) == [events.FIRMWARE_UPDATED]


# Damage


def test_one_bit_of_any_file_keeps_a_slot_from_running():
    meter = Meter().update(FIRST)
    for name, _ in release(1):
        damage(name)
        assert Slots(MOUNT + "/update", SITE)._fault(meter.life.slots.active) == "update_image"
        damage(name)
    assert meter.boot().software_id == FIRST.digest
    with open(MOUNT + "/update/a/more.py", "w") as file:
        file.write("")
    assert meter.boot().running == GOLDEN


def test_from_a_damaged_slot_to_the_one_before_and_on_to_the_golden_copy():
    meter = Meter().update(FIRST).update(SECOND)
    damage("board.mpy", "b")
    assert meter.boot().software_id == FIRST.digest
    damage("board.mpy", "a")
    assert meter.boot().running == GOLDEN
    meter.life.turn()
    lost = [
        (details[events.SOFTWARE_ID], details[events.REASON])
        for code, details in meter.chain
        if code == events.UPDATE_ROLLED_BACK
    ]
    assert lost == [(SECOND.digest, "update_image"), (FIRST.digest, "update_image")]
    # What was lost may come again, what is older may not.
    assert meter.life.refused(FIRST.manifest) == "update_not_newer"
    meter.update(SECOND)
    assert meter.boot().software_id == SECOND.digest


def test_a_manifest_in_a_slot_is_verified_at_every_boot():
    again = Update(7, pack(release(1)))
    for manifest in (again.manifest, FIRST.manifest[:-1] + b"x", SECOND.manifest, b"no message"):
        meter = Meter().update(FIRST)
        meter.life.slots._memory.write("a.manifest", manifest)
        assert meter.boot().running == GOLDEN


def test_the_signature_counts_and_not_only_the_note_of_it():
    import hashlib

    meter = Meter().update(FIRST)
    foreign = Update(5, pack(release(1)), STRANGER).manifest
    slots = meter.life.slots
    slots._memory.write("a.manifest", foreign)
    slots.active.manifest_digest = hashlib.sha256(foreign).digest()
    slots._save()
    assert meter.boot().running == GOLDEN


def test_without_a_boot_state_the_golden_copy_runs():
    meter = Meter().update(FIRST)
    for state in (b"\x00", b"\x80", b"\xff" * 9):
        meter.life.slots._memory.write("state", state)
        assert meter.boot().running == GOLDEN
    assert meter.life.refused(FIRST.manifest) is None


def test_a_boot_state_of_another_form_is_none():
    meter = Meter().update(FIRST)
    whole = cbor.loads(meter.life.slots._memory.read("state"))
    assert len(whole) == 9
    states = [7, {1: 1}, whole[:-1], whole + [1], [2] + whole[1:]]
    others = (None, "c", b"x", [], [1], [b"x"], [[b"x"]], [[]], ["a", 1, 2, 3], [[99, b"", ""]])
    for at in range(9):
        fits = (None,) if at in (1, 2, 3) else ([],) if at > 6 else (b"x",) if at == 5 else ()
        states += [whole[:at] + [other] + whole[at + 1 :] for other in others if other not in fits]
    states += [whole[:1] + [[slot] + whole[1][1:]] + whole[2:] for slot in ("c", "../a", "golden", "")]
    for state in states:
        meter.life.slots._memory.write("state", cbor.dumps(state))
        assert Slots(MOUNT + "/update", SITE).active is None, state
        life = meter.boot()
        assert life.running == GOLDEN
        life.turn()
        assert life.refused(SECOND.manifest) is None
        life.turn()


# Crashes


def crash():
    with open(MOUNT + "/update/crashes", "ab") as file:
        file.write(b"x")


def test_proven_software_that_crashes_at_every_boot_is_left():
    meter = Meter().update(FIRST).update(SECOND)
    for left, runs in ((FIRST.digest, SECOND.digest), (GOLDEN_ID, FIRST.digest)):
        for _ in range(MAX_CRASHES):
            assert meter.boot().software_id == runs
            crash()
        assert meter.boot().software_id == left
    meter.life.turn()
    said = [details for code, details in meter.chain if code == events.UPDATE_ROLLED_BACK]
    assert said == [
        {events.SOFTWARE_ID: SECOND.digest, events.REASON: "update_health"},
        {events.SOFTWARE_ID: FIRST.digest, events.REASON: "update_health"},
    ]
    # It had proven its health once, so the cause may be gone: it is tried again when it is offered again.
    meter.update(SECOND)
    assert meter.boot().software_id == SECOND.digest


def test_a_boot_that_reaches_the_gateway_counts_its_crashes_anew():
    meter = Meter().update(FIRST)
    for _ in range(3):
        for _ in range(MAX_CRASHES - 2):
            assert meter.boot().software_id == FIRST.digest
            crash()
        meter.boot()
        meter.prove()
        crash()
    assert meter.boot().software_id == FIRST.digest


def test_the_list_of_failures_is_bounded():
    meter = Meter()
    for number in range(MAX_FAILED + 3):
        meter.life.slots.refuse(bytes([number]) * 32, "update_image")
    failed = [digest[0] for digest, _ in meter.life.slots.failed]
    assert failed == list(range(3, MAX_FAILED + 3))
