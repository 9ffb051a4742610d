/* MAXIMUM, int16, with broadcasting. */
#include "tidepool_16x8.h"

TIDEPOOL_KERNEL
void tidepool_maximum_int16(const tidepool_selection_params *params, const int16_t *input_1,
                           const int16_t *input_2, int16_t *output)
{
    const tidepool_broadcast *s = &params->broadcast;
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    tidepool_broadcast_place place = {{0}, 0, 0};

    do {
        for (int32_t i = 0; i < s->sizes[last]; ++i) {
            const int16_t a = input_1[place.offset_1 + i * s->strides_1[last]];
            const int16_t b = input_2[place.offset_2 + i * s->strides_2[last]];
            *output++ = (a > b) ? a : b;
        }
    } while (tidepool_next_row(s, &place) != 0);
}
