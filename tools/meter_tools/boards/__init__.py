"""Boards from this side of the cable: what each is, how its image is built, written and watched.

description   boards/<board>/board.toml
new           a new board's folder, made of another's
recipe        the commands that build a board's image
image         what was built: where it is, and its sizes
ports         which serial port or USB device is meant
flash         writes a board, in steps; esptool, mpremote, dfu and pyocd each know their program
console       what a board says, and what is typed to it
emulator      an emulated board in QEMU
commands      `carbonmeter board`
"""
