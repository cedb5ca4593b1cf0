"""Boards from this side of the cable: what each is, how its image is built, written and watched.

    description   boards/<board>/board.toml; readme: how it is wired
    new           a new board's folder, made of another's
    recipe        the commands that build a board's image; meter_tools.board_build runs them
    board_files   the same software as files for an official image
    ports         which serial port or USB device is meant
    program       the programs that write boards: found, run, and heard
    flash         the steps of writing a board; writer is what each program has to do for it
    *_writer      esptool (with partitions), mpremote, dfu-util, pyOCD
    console       what a board says, and what is typed to it; console_text: readable, with frames among it
    emulator      an emulated board in QEMU
    commands      `carbonmeter board`

Stand-ins for what no test owns: esp_stand_in is the loader in an ESP32's ROM, repl_stand_in a board's REPL, behind
which is the real MicroPython. Both say in their first lines what they are not.
"""
