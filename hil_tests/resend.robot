*** Settings ***
Documentation       The gateway may ask for what it has receipted: the meter sends the original bytes, for a true request of
...                 its own gateway alone, and says in the chain what it has no more.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
A True Request Brings The Original Bytes
    ${sealed} =    Messages That Are Receipted    3
    Send Resend Request    ${sealed[0].sequence}
    Messages Should Come Again    ${sealed}

A Forged Request Brings Nothing
    [Documentation]    The console says the first refusal of each kind since the boot.
    Power Fails And Returns
    Wait For Boot
    ${sealed} =    Messages That Are Receipted    2
    FOR    ${forgery}    ${reason}    IN
    ...    signed by a stranger    signature_invalid
    ...    signed by the clock key    unknown_key
    ...    for another meter    not_for_us
    ...    beyond the head    resend_of_nothing
        Console Should Not Show    refused: ${reason}
        Send Forged Resend Request    ${forgery}    ${sealed[0].sequence}
        Console Should Show    refused: ${reason}
        Messages Should Not Come Again    ${sealed}
    END

A Gateway That Was Replaced Is Obeyed No More
    Power Fails And Returns
    Wait For Boot
    Gateway Withholds Receipts
    Gateway Gets New Receipt Key
    ${parameters} =    Send Parameters    1 s    500 ms
    Wait For Sealed Message    parameters_applied    parameter_set=${parameters}
    Gateway Sends Receipts
    ${sealed} =    Messages That Are Receipted    2
    Console Should Not Show    refused: unknown_key
    Send Forged Resend Request    signed by the receipt key before    ${sealed[0].sequence}
    Console Should Show    refused: unknown_key
    Messages Should Not Come Again    ${sealed}
    Send Resend Request    ${sealed[0].sequence}
    Messages Should Come Again    ${sealed}

Bytes That Are Gone Are Said, And What Is There Comes
    ${sealed} =    Messages That Are Receipted    3
    Cut Power
    Corrupt Journal Byte    ${sealed}[1]
    Power On Meter
    Wait For Boot
    ${gone} =    Set Variable    ${sealed[1].sequence}
    FOR    ${_}    IN RANGE    2
        Send Resend Request    ${gone}
        Messages Should Come Again    ${sealed[2:]}
        Messages Should Not Come Again    ${sealed[1:2]}
    END
    Wait For Sealed Message    resend_unavailable    first_sequence=${gone}    last_sequence=${gone}
    Sealed Messages Should Number    resend_unavailable    1

Of Another Epoch Nothing Is There, And The Oldest Comes
    ${identity} =    Newest Sealed Message    identity
    Send Forged Resend Request    for another epoch    ${7}
    Wait For Sealed Message    resend_unavailable    last_epoch=0000000000000000    first_sequence=7    last_sequence=none
    Messages Should Come Again    ${{ [$identity] }}


*** Keywords ***
Messages That Are Receipted
    [Arguments]    ${count}
    ${sealed} =    Wait For Sealed Messages    ${count}
    Wait For Sealed Messages    1
    RETURN    ${sealed}
