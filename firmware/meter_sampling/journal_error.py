"""Why what was sealed found no place, whatever the journal is made of."""

from meter_sampling import MeterError


class JournalError(MeterError):
    """Reasons:

    journal_full             no room that may be taken; nothing was written
    journal_sequence         not the next sequence of the newest epoch, nor a new epoch
    journal_head_unproven    the old epoch's head was lost: open a new epoch
    journal_record_size      the record does not fit a segment
    journal_not_stored       freeing what was never appended
    journal_damaged          the newest record can no longer be read
    journal_io               the file system failed; reboot
    """


def must_be_full(error: JournalError) -> None:
    """A full journal is lived with; a failing flash is left to a reboot, which recovers what is there."""
    if error.reason != "journal_full":
        raise error
