*** Settings ***
Documentation       A meter whose key or whose arithmetic is damaged seals nothing, says why, and tells of it in its chain as
...                 soon as it is well again.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
One Damaged Copy Of The Key Costs Nothing
    Cut Power
    Flip Bit Of Key    copies=1
    Power On Meter
    Wait For Boot
    Console Should Show The Label
    Sealed Messages Should Number    self_test_failed    0

A Damaged Key Seals Nothing
    Cut Power
    Flip Bit Of Key
    FOR    ${_}    IN RANGE    2
        Power On Meter
        Boot Should Fail    key_damaged
    END

Another Key Than The Board's Seals Nothing
    Flip Bit Of Key
    Flip Bit Of Key    sealed=${True}
    Power On Meter
    Boot Should Fail    public_key_changed

The Next Boot That Succeeds Tells Of The Last Failure
    Flip Bit Of Key    sealed=${True}
    Power On Meter
    ${boot} =    Wait For Boot
    Wait For Sealed Message    self_test_failed    reason=public_key_changed    boot=${boot.named}[boot]
    Console Should Show The Label

Damaged Software Seals Nothing
    Cut Power
    Damage Software
    Power On Meter
    Boot Should Fail    self_test_verify
    Repair Software
    Power On Meter
    ${boot} =    Wait For Boot
    Wait For Sealed Message    self_test_failed    reason=self_test_verify    boot=${boot.named}[boot]

The Gateway's Command Shows It
    Verify Command Should Show    Event: the self-test failed    [public_key_changed]    [self_test_verify]

It Is Told Once, And The Meter Measures On
    Power Fails And Returns
    Wait For Boot
    Set Instrument Value    energy meter    active_energy_import    1007
    ${readings} =    Wait For Readings
    Reading Should Be    ${readings}[energy]    status=good    total=40280
    Sealed Messages Should Number    self_test_failed    2
    Sealed Messages Should Number    identity    1
