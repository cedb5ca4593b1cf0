// The two slots in the processor's flash: MicroPython's ROMFS partitions 0 and 1.
#pragma once

// Until then there are none: MicroPython would mount the first by itself, whatever is in it, before anybody has
// checked that.
void slots_open(void);
