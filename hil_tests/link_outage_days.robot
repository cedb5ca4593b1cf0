*** Settings ***
Documentation       The link is down for three days of quarter-hours: the meter goes on, and afterwards everything comes, in
...                 order and as it was sealed.
Resource            keywords/meter.resource
Suite Setup         Meter Measures Quarter Hours
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
Three Days Without A Link Arrive In Order Afterwards
    Link Goes Down
    Let Time Pass    3 days
    Set Instrument Value    energy meter    active_energy_import    123456
    Let Time Pass    15 min
    Link Goes Up
    # The pause before the meter tries again what got no receipt has grown to five minutes meanwhile.
    Let Time Pass    15 min
    Backfill Should Be In Order    at_least=290    timeout=2 min
    Intervals Should Join

What Was Counted Meanwhile Is In Its Own Quarter Hour
    ${reading} =    Wait For Energy Total    4938240
    Reading Should Be    ${reading}    status=good    total=4938240
    Totals Should Never Decrease

What Was Sent And Not Receipted Comes Again Byte For Byte
    Gateway Withholds Receipts
    Let Time Pass    30 min
    ${sent} =    Newest Messages    2
    Link Goes Down
    Let Time Pass    1 day
    Link Goes Up
    Let Time Pass    15 min
    Messages Should Come Again    ${sent}    timeout=2 min
    Gateway Sends Receipts
    Send Receipt
    Backfill Should Be In Order    at_least=98    timeout=2 min
    Intervals Should Join


*** Keywords ***
Meter Measures Quarter Hours
    Power On Meter
    Wait For Boot
    Send Parameters    15 min    15 min
    Wait For Sealed Message    parameters_applied
    Wait For Sealed Message    clock_set
