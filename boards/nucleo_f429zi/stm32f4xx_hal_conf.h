// The same oscillators as upstream's board.
#include "boards/NUCLEO_F429ZI/stm32f4xx_hal_conf.h"
