*** Settings ***
Documentation       A firmware that hangs is reset by its watchdog, and nothing is lost by that.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken
Test Tags           watchdog


*** Test Cases ***
A Firmware That Hangs Is Reset
    Gateway Withholds Receipts
    ${sealed} =    Wait For Sealed Messages    2
    Firmware Hangs
    Console Should Show    watchdog
    Wait For Boot
    Messages Should Come Again    ${sealed}

It Measures On
    Gateway Sends Receipts
    Set Instrument Value    energy meter    active_energy_import    1007
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40280

Days Without A Link Are No Reason For It
    Send Parameters    15 min    15 min
    Wait For Sealed Message    parameters_applied    boot=2
    Link Goes Down
    Let Time Pass    6 hours
    Link Goes Up
    Let Time Pass    15 min
    Console Should Not Show    watchdog    times=2
