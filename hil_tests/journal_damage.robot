*** Settings ***
Documentation       Damage in the flash costs what is damaged and is said; everything else goes on.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
A Damaged Message Is Said And Not Sent
    Gateway Withholds Receipts
    ${sealed} =    Wait For Sealed Messages    4
    Cut Power
    Corrupt Journal Byte    ${sealed}[1]
    Power On Meter
    Wait For Boot
    Wait For Sealed Message    journal_quarantined
    Messages Should Come Again    ${{ [$sealed[0], $sealed[2], $sealed[3]] }}
    Messages Should Not Come Again    ${{ [$sealed[1]] }}

It Measures On
    Gateway Sends Receipts
    Send Receipt
    Set Instrument Value    energy meter    active_energy_import    1007
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40280
    Sealed Messages Should Number    journal_quarantined    1

The Damage Is Told Only Once
    Power Fails And Returns
    Wait For Boot
    Wait For Readings
    Sealed Messages Should Number    journal_quarantined    1
