// The emulator's host, asked through ARM semihosting (Arm's "Semihosting for AArch32 and AArch64"). Blocking.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A handle, or -1. For reading and writing the file must exist: a chip is not made by its board.
int semihosting_open(const char *name, bool writable);
void semihosting_close(int handle);
bool semihosting_seek(int handle, uint32_t position);
// The number of bytes moved.
size_t semihosting_read(int handle, void *into, size_t size);
size_t semihosting_write(int handle, const void *from, size_t size);
// The length of an open file, or -1.
int32_t semihosting_length(int handle);
// What the emulator was given as the program's command line, "" if nothing.
void semihosting_command_line(char *into, size_t size);
__attribute__((noreturn)) void semihosting_exit(int code);
