*** Settings ***
Documentation       Software is taken from the update authority alone, proves its health before it stays, and is given up if
...                 it does not.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken
Test Tags           update    long


*** Test Cases ***
Software From A Stranger Is Refused
    Offer Update    1    signed_by=a stranger
    Wait For Sealed Message    update_refused    reason=signature_invalid

Software For Another Model Is Refused
    [Documentation]    Of refused manifests one in ten minutes becomes an event; a boot counts them anew.
    Power Fails And Returns
    Wait For Boot
    Wait For Readings
    Offer Update    1    model=another
    Wait For Sealed Message    update_refused    reason=update_not_for_us

Sick Software Is Rolled Back And Not Tried Again
    ${boot} =    Wait For Boot
    Offer Sick Update    2
    Wait For Chunks    1    timeout=1 min
    ${rolled_back} =    Wait For Sealed Message    update_rolled_back    reason=update_health    timeout=2 min
    Should Not Be Equal    ${rolled_back.named}[software_id]    ${boot.named}[software_id]
    Boots Are Counted Anew
    ${again} =    Newest Sealed Message    boot
    Should Be Equal    ${again.named}[software_id]    ${boot.named}[software_id]
    Repeat Update Offer
    Wait For Sealed Message    update_refused    reason=update_health

Power May Fail While The Image Is Fetched
    Offer Update    3
    Wait For Chunks    3    timeout=1 min
    Power Fails And Returns
    Wait For Boot
    Wait For Chunks    1    timeout=1 min

Software From The Authority Proves Its Health And Stays
    ${before} =    Newest Sealed Message    boot
    ${updated} =    Wait For Sealed Message    firmware_updated    timeout=4 min
    Should Not Be Equal    ${updated.named}[software_id]    ${before.named}[software_id]
    Boots Are Counted Anew
    Power Fails And Returns
    ${boot} =    Wait For Boot
    Should Be Equal    ${boot.named}[software_id]    ${updated.named}[software_id]

Older Software Is Refused
    Wait For Readings
    Offer Update    2
    Wait For Sealed Message    update_refused    reason=update_not_newer

It Measures As Before
    Set Instrument Value    energy meter    active_energy_import    1007
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40280
    Totals Should Never Decrease
    Sealed Messages Should Number    identity    1
