*** Settings ***
Documentation       The link is down for three days of hours: the meter goes on, and afterwards everything comes, in order
...                 and as it was sealed. A day fills more than what may be under way without a receipt.
Resource            keywords/meter.resource
Suite Setup         Meter Measures Much Every Hour
Suite Teardown      Chain Should Be Unbroken
Test Tags           long


*** Test Cases ***
Three Days Without A Link Arrive In Order Afterwards
    Link Goes Down
    Let Time Pass    3 days
    Set Instrument Value    energy meter    active_energy_import    123456
    Let Time Pass    1 hour
    Link Goes Up
    # The pause before the meter tries again what got no receipt has grown to five minutes meanwhile.
    Let Time Pass    1 hour
    Backfill Should Be In Order    at_least=74    timeout=2 min
    Intervals Should Join

What Was Counted Meanwhile Is In Its Own Hour
    ${reading} =    Wait For Energy Total    123456
    Reading Should Be    ${reading}    status=good    total=123456
    Totals Should Never Decrease

What Was Sent And Not Receipted Comes Again Byte For Byte
    Gateway Withholds Receipts
    ${before} =    Count Of Sealed Messages    readings
    Let Time Pass    2 hours
    # What came before was receipted, and would never come again.
    Wait For Count Of Sealed Messages    readings    ${before + 2}
    ${sent} =    Newest Messages    2
    Link Goes Down
    Let Time Pass    1 day
    Link Goes Up
    # In the first hour the gateway may ask for what came after them: the meter goes back there, not to them.
    Let Time Pass    2 hours
    Messages Should Come Again    ${sent}    timeout=2 min
    Gateway Sends Receipts
    Send Receipt
    Backfill Should Be In Order    at_least=28    timeout=2 min
    Intervals Should Join


*** Keywords ***
Meter Measures Much Every Hour
    Connect Instrument    energy meter    energy64    modbus0
    Connect Instrument    CO2 sensor    senseair_s8    modbus0    unit=254
    Measure    energy    energy meter    active_energy_import    kind=register
    FOR    ${number}    IN RANGE    40
        Measure    CO2 ${number}    CO2 sensor    co2_fraction
    END
    Set Instrument Value    energy meter    active_energy_import    1000
    Set Instrument Value    CO2 sensor    co2_fraction    421
    Power On Meter
    Wait For Boot
    Send Parameters    1 hour    1 hour
    Wait For Sealed Message    parameters_applied
    Wait For Sealed Message    clock_set
