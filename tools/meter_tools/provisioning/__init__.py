"""Provisioning: from a board that comes off the line to a meter with a certificate, a record and a label.

board       what a board says on its provisioning line, and what is said to it (SPEC §16); pure
line        the line itself, and asking until an answer comes
ca          the maker's CA: certificates, revocation list; pure
ca_files    the CA as a folder
settings    provision.toml
factory_db  the maker's record of every board, append-only
label       the label, as PDF and PNG
export      a replaced meter's journal, as a file that `carbonmeter verify` checks
work        one board from hello to label
"""
