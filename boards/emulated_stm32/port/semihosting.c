#include <string.h>

#include "semihosting.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_SEEK = 0x0a,
    SYS_FLEN = 0x0c,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20,
};

// fopen's "rb" and "r+b".
enum { OPEN_READ = 1, OPEN_UPDATE = 3 };

#define APPLICATION_EXIT (0x20026)

// Renode answers at this function (boards/emulated_stm32/emulated_stm32.resc), so it must stay one.
__attribute__((noipa)) static int32_t semihosting_call(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm__ ("r0") = operation;
    register const void *r1 __asm__ ("r1") = arguments;
    __asm__ volatile ("bkpt 0xab" : "+r" (r0) : "r" (r1) : "memory");
    return (int32_t)r0;
}

int semihosting_open(const char *name, bool writable) {
    const uint32_t arguments[] = {(uint32_t)name, writable ? OPEN_UPDATE : OPEN_READ, strlen(name)};
    return semihosting_call(SYS_OPEN, arguments);
}

void semihosting_close(int handle) {
    const uint32_t arguments[] = {(uint32_t)handle};
    semihosting_call(SYS_CLOSE, arguments);
}

bool semihosting_seek(int handle, uint32_t position) {
    const uint32_t arguments[] = {(uint32_t)handle, position};
    return semihosting_call(SYS_SEEK, arguments) == 0;
}

// Both calls give the number of bytes that were not moved.
size_t semihosting_read(int handle, void *into, size_t size) {
    const uint32_t arguments[] = {(uint32_t)handle, (uint32_t)into, size};
    return size - (size_t)semihosting_call(SYS_READ, arguments);
}

size_t semihosting_write(int handle, const void *from, size_t size) {
    const uint32_t arguments[] = {(uint32_t)handle, (uint32_t)from, size};
    return size - (size_t)semihosting_call(SYS_WRITE, arguments);
}

int32_t semihosting_length(int handle) {
    const uint32_t arguments[] = {(uint32_t)handle};
    return semihosting_call(SYS_FLEN, arguments);
}

void semihosting_command_line(char *into, size_t size) {
    const uint32_t arguments[] = {(uint32_t)into, size};
    if (semihosting_call(SYS_GET_CMDLINE, arguments) != 0) {
        into[0] = 0;
    }
}

void semihosting_exit(int code) {
    const uint32_t arguments[] = {APPLICATION_EXIT, (uint32_t)code};
    semihosting_call(SYS_EXIT_EXTENDED, arguments);
    for (;;) {
    }
}
