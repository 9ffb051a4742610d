/* GATHER, MIRROR_PAD and RESIZE_NEAREST_NEIGHBOR, int8: copies runs from places in tables. */
#include "tidepool_moves.h"

#include <string.h>

#define DIMENSIONS TIDEPOOL_MAX_MOVE_DIMENSIONS

TIDEPOOL_KERNEL
void tidepool_take(const tidepool_take_params *params, const int8_t *input, int8_t *output)
{
    int32_t index[DIMENSIONS] = {0};
    int32_t d = 0;

    while (d >= 0) {
        const int32_t *offsets = params->offsets;
        int32_t place = 0;
        for (int32_t i = 0; i < DIMENSIONS; ++i) {
            place += offsets[index[i]];
            offsets += params->sizes[i];
        }
        memcpy(output, &input[place], (size_t)params->run);
        output += params->run;
        for (d = DIMENSIONS - 1; d >= 0; --d) {
            if (++index[d] < params->sizes[d]) {
                break;
            }
            index[d] = 0;
        }
    }
}
