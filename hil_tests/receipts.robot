*** Settings ***
Documentation       The meter frees a message on the gateway's own signed receipt for that very message, on nothing else.
Resource            keywords/meter.resource
Suite Setup         Meter Is In Operation
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
A Forged Receipt Frees Nothing
    Gateway Withholds Receipts
    ${sealed} =    Wait For Sealed Messages    2
    FOR    ${forgery}    ${reason}    IN
    ...    signed by a stranger    signature_invalid
    ...    signed by the clock key    unknown_key
    ...    for another hash    receipt_not_ours
    ...    for another meter    not_for_us
        Send Forged Receipt    ${forgery}
        Console Should Show    refused: ${reason}
        Wait For Sealed Messages    1
        Power Fails And Returns
        Messages Should Come Again    ${sealed}
    END

A True Receipt Frees What It Names
    ${sealed} =    Wait For Sealed Messages    1
    Send Receipt
    Wait For Sealed Messages    1
    Power Fails And Returns
    Messages Should Not Come Again    ${sealed}
