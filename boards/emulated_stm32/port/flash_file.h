// Flash that is a file of the emulator's host: programming only clears bits, erasing sets them.
//
// All of the board's flash loses its power where the emulator's command line says so, "cut=<operation>:<bytes>": of
// that write or erase, counted from zero since the reset, so many bytes are done, and the emulator ends with EXIT_CUT.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define EXIT_CUT (66)

// Programs `size` bytes from `position` on, or erases them where `from` is NULL. Once it has returned true they are
// with the host's kernel: killing the emulator loses nothing.
bool flash_file_change(int handle, uint32_t position, const uint8_t *from, uint32_t size);
