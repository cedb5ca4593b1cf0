"""Event codes and the keys of their details (SPEC §6). Events live in the same chain as the readings."""

BOOT = 1
CLOCK_SET = 2
PARAMETERS_APPLIED = 3
PARAMETERS_REFUSED = 4
JOURNAL_OVERFLOW = 5
JOURNAL_RESUMED = 6
SELF_TEST_FAILED = 7
FIRMWARE_UPDATED = 8
EPOCH_OPENED = 9
MESSAGE_REFUSED = 10
RESEND_UNAVAILABLE = 11
REGISTER_DISCONTINUITY = 12
JOURNAL_QUARANTINED = 13
UPDATE_REFUSED = 14
UPDATE_ROLLED_BACK = 15

NAMES = {
    BOOT: "boot",
    CLOCK_SET: "clock_set",
    PARAMETERS_APPLIED: "parameters_applied",
    PARAMETERS_REFUSED: "parameters_refused",
    JOURNAL_OVERFLOW: "journal_overflow",
    JOURNAL_RESUMED: "journal_resumed",
    SELF_TEST_FAILED: "self_test_failed",
    FIRMWARE_UPDATED: "firmware_updated",
    EPOCH_OPENED: "epoch_opened",
    MESSAGE_REFUSED: "message_refused",
    RESEND_UNAVAILABLE: "resend_unavailable",
    REGISTER_DISCONTINUITY: "register_discontinuity",
    JOURNAL_QUARANTINED: "journal_quarantined",
    UPDATE_REFUSED: "update_refused",
    UPDATE_ROLLED_BACK: "update_rolled_back",
}

# Keys of DETAILS, the same in every event
LAST_RECEIPT = 0
SOFTWARE_ID = 1
PARAMETER_SET = 2
REASON = 3
OLD_TIME_MS = 4
NEW_TIME_MS = 5
TIME_REPLY = 6
LAST_EPOCH = 7
LAST_SEQUENCE = 8
LAST_HASH = 9
FIRST_SEQUENCE = 10
CHANNEL = 11
TOTAL_BEFORE = 12
RAW_BEFORE = 13
RAW_AFTER = 14
DIGEST = 15
SPAN_START_MS = 16
SEGMENTS = 17
TOTALS_BEFORE = 18
TOTALS_AFTER = 19
DRIFT_PPB = 20
MANIFEST = 21
SOFTWARE_BEFORE = 22
