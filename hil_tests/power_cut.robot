*** Settings ***
Documentation       Nothing that was sealed is lost to a power cut, and nothing is counted twice after it.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
What Was Sealed And Not Receipted Is There After A Power Cut
    Gateway Withholds Receipts
    ${sealed} =    Wait For Sealed Messages    2
    Cut Power
    Power On Meter
    Messages Should Come Again    ${sealed}
    Wait For Sealed Message    boot    boot=2

What Was Counted Without Power Is One Reading Over The Gap
    Cut Power
    Set Instrument Value    energy meter    active_energy_import    1010
    Power On Meter
    ${outage} =    Wait For Readings    kind=outage
    Reading Should Be    ${outage}[energy]    status=gap before    total=40400
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40400

Power Cuts At Any Moment Leave The Chain Unbroken
    Gateway Sends Receipts
    FOR    ${cut}    IN RANGE    6
        ${moment} =    Random Moment    within=1500 ms
        Sleep    ${moment}
        Cut Power
        ${boot} =    Evaluate    ${cut} + 4
        Power On Meter
        Wait For Sealed Message    boot    boot=${boot}
    END
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40400
    Totals Should Never Decrease
    Sealed Messages Should Number    identity    1
