/* MUL, int16, with broadcasting. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

TIDEPOOL_KERNEL
void tidepool_mul_int16(const tidepool_mul_int16_params *params, const int16_t *input_1,
                        const int16_t *input_2, int16_t *output)
{
    const tidepool_broadcast *s = &params->broadcast;
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    tidepool_broadcast_place place = {{0}, 0, 0};

    do {
        const int16_t *a = input_1 + place.offset_1;
        const int16_t *b = input_2 + place.offset_2;
        for (int32_t i = 0; i < s->sizes[last]; ++i) {
            const int32_t scaled = tidepool_rescale_16(*a * *b, params->multiplier, params->shift);
            *output++ = (int16_t)tidepool_clamp(scaled, params->output_min, params->output_max);
            a += s->strides_1[last];
            b += s->strides_2[last];
        }
    } while (tidepool_next_row(s, &place));
}
