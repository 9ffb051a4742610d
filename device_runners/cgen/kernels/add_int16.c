/* ADD and SUB, int16, with broadcasting. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

/* Headroom of the operands in the common scale: 16 bits + 15 - 1 (their factors are at most 1/2). */
#define ADD_LEFT_SHIFT 15

static int16_t add(const tidepool_add_int16_params *p, int32_t a, int32_t b)
{
    const int32_t one = INT32_C(1) << ADD_LEFT_SHIFT;
    const int32_t scaled_1 = tidepool_rescale_16(a * one, p->multiplier_1, p->shift_1);
    const int32_t scaled_2 = tidepool_rescale_16(b * one, p->multiplier_2, p->shift_2);
    const int32_t sum = tidepool_rescale_16(scaled_1 + p->sign * scaled_2, p->output_multiplier,
                                            p->output_shift);
    return (int16_t)tidepool_clamp(sum, p->output_min, p->output_max);
}

TIDEPOOL_KERNEL
void tidepool_add_int16(const tidepool_add_int16_params *params, const int16_t *input_1,
                        const int16_t *input_2, int16_t *output)
{
    const tidepool_broadcast *s = &params->broadcast;
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    tidepool_broadcast_place place = {{0}, 0, 0};

    do {
        const int16_t *a = input_1 + place.offset_1;
        const int16_t *b = input_2 + place.offset_2;
        for (int32_t i = 0; i < s->sizes[last]; ++i) {
            *output++ = add(params, *a, *b);
            a += s->strides_1[last];
            b += s->strides_2[last];
        }
    } while (tidepool_next_row(s, &place));
}
