"""The bits of a reading's status (SPEC §5.1) as findings, each combination prepared once."""

from meter_protocol import fields as f

CODE_OF_BIT = {
    f.STATUS_NO_RESPONSE: "no_response",
    f.STATUS_BAD_RESPONSE: "bad_response",
    f.STATUS_IMPLAUSIBLE: "implausible",
    f.STATUS_MISSED_SAMPLES: "missed_samples",
    f.STATUS_GAP_BEFORE: "gap_before",
    f.STATUS_WRAPPED: "wrapped",
    f.STATUS_DISCONTINUITY: "discontinuity",
    f.STATUS_WRONG_INSTRUMENT: "wrong_instrument",
    f.STATUS_UNDER_RANGE: "under_range",
    f.STATUS_OVER_RANGE: "over_range",
    f.STATUS_SIGNAL_FAULT: "signal_fault",
}

CODES_OF_STATUS = tuple(
    tuple(code for bit, code in CODE_OF_BIT.items() if status & bit) for status in range(f.STATUS_ALL + 1)
)
