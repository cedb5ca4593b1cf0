*** Settings ***
Documentation       A meter out of the box makes its key, says who it is, and stays the same over a power cut.
Resource            keywords/meter.resource
Suite Setup         Power On Meter
Suite Teardown      Chain Should Be Unbroken


*** Test Cases ***
The First Message Is The Identity On The Label
    Wait For Sealed Message    identity    sequence=0    serial=HIL-0001
    Console Should Show The Label

The Identity Says How Its Key Is Kept
    ${protection} =    Key Protection Of Board
    Wait For Sealed Message    identity    key_protection=${protection}    certificate=none

Every Boot Is An Event In The Chain
    ${identity} =    Wait For Sealed Message    identity
    Wait For Sealed Message    boot    boot=1    software_id=${identity.named}[software_id]

A Power Cut Changes Neither Key Nor Epoch
    Power Fails And Returns
    Wait For Sealed Message    boot    boot=2
    Console Should Show The Label
    Sealed Messages Should Number    identity    1
