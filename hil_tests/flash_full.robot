*** Settings ***
Documentation       A journal full of what was never receipted takes nothing more, says so, and loses no quantity: the
...                 registers count on, and the meter resumes by itself.
Resource            keywords/meter.resource
Suite Setup         Meter With A Small Flash Measures Much
Suite Teardown      Chain Should Be Unbroken
Test Tags           long


*** Test Cases ***
A Full Journal Says So, And What Was Sealed Is Kept
    Gateway Withholds Receipts
    Set Instrument Value    energy meter    active_energy_import    2000
    Let Time Pass    1 min
    Fill Journal
    Set Instrument Value    energy meter    active_energy_import    123456
    Let Time Pass    10 min    sealed=${False}
    Gateway Sends Receipts
    Send Receipt
    ${overflow} =    Wait For Sealed Message    journal_overflow    timeout=2 min
    Should Be Equal As Integers    ${overflow.named}[totals_before][${1}]    2000

It Resumes With What Was Counted Meanwhile
    Let Time Pass    2 min    sealed=${False}
    ${resumed} =    Wait For Sealed Message    journal_resumed    timeout=1 min
    Should Be Equal As Integers    ${resumed.named}[totals_before][${1}]    2000
    Should Be Equal As Integers    ${resumed.named}[totals_after][${1}]    123456
    Set Instrument Value    energy meter    active_energy_import    123460
    Let Time Pass    2 min
    ${reading} =    Wait For Energy Total    123460
    Totals Should Never Decrease
    Sealed Messages Should Number    register_discontinuity    0
    Sealed Messages Should Number    journal_overflow    1

What Was Overwritten Is Gone, And The Oldest That Is There Comes
    Send Resend Request    ${0}
    ${gone} =    Wait For Sealed Message    resend_unavailable    first_sequence=0
    ${messages} =    Newest Messages    ${{ $gone.sequence + 1 }}
    Messages Should Come Again    ${{ [$messages[$gone.named["last_sequence"] + 1]] }}

*** Keywords ***
Meter With A Small Flash Measures Much
    Flash Is Small
    Connect Instrument    energy meter    energy64    modbus0
    Connect Instrument    CO2 sensor    senseair_s8    modbus0    unit=254
    Measure    energy    energy meter    active_energy_import    kind=register
    FOR    ${number}    IN RANGE    4
        Measure    CO2 ${number}    CO2 sensor    co2_fraction
    END
    Set Instrument Value    energy meter    active_energy_import    1000
    Set Instrument Value    CO2 sensor    co2_fraction    421
    Power On Meter
    Wait For Boot
    Send Parameters    1 min    1 min
    Wait For Sealed Message    parameters_applied
    Wait For Sealed Message    clock_set
