#include "flash_file.h"

#include <stdlib.h>
#include <string.h>

#include "semihosting.h"

#define NEVER (0xffffffffu)
#define PART_BYTES (256u)

static struct {
    bool is_planned;
    uint32_t operations;
    uint32_t operation;
    uint32_t bytes;
} cut;

static void plan_cut(void) {
    char line[64];
    semihosting_command_line(line, sizeof(line));
    cut.operation = NEVER;
    char *plan = strstr(line, "cut=");
    if (plan != NULL) {
        cut.operation = strtoul(plan + 4, &plan, 10);
        cut.bytes = *plan == ':' ? strtoul(plan + 1, NULL, 10) : 0;
    }
    cut.is_planned = true;
}

static bool change_part(int handle, uint32_t position, const uint8_t *from, uint32_t count) {
    static uint8_t part[PART_BYTES];
    memset(part, 0xff, count);
    if (from != NULL) {
        if (!semihosting_seek(handle, position) || semihosting_read(handle, part, count) != count) {
            return false;
        }
        for (uint32_t place = 0; place < count; place++) {
            part[place] &= from[place];
        }
    }
    return semihosting_seek(handle, position) && semihosting_write(handle, part, count) == count;
}

bool flash_file_change(int handle, uint32_t position, const uint8_t *from, uint32_t size) {
    if (!cut.is_planned) {
        plan_cut();
    }
    bool is_cut = cut.operations++ == cut.operation;
    if (is_cut && size > cut.bytes) {
        size = cut.bytes;
    }
    for (uint32_t done = 0; done < size; done += PART_BYTES) {
        uint32_t count = size - done < PART_BYTES ? size - done : PART_BYTES;
        if (!change_part(handle, position + done, from == NULL ? NULL : from + done, count)) {
            return false;
        }
    }
    if (is_cut) {
        semihosting_exit(EXIT_CUT);
    }
    return true;
}
