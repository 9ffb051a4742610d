/* SQUARED_DIFFERENCE, int8, with broadcasting. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

/* A difference in the common scale is below 255 << 7: its square fits in 30 bits. */
#define SQUARE_LEFT_SHIFT 7

static int8_t square(const tidepool_difference_params *p, int32_t a, int32_t b)
{
    const int32_t one = INT32_C(1) << SQUARE_LEFT_SHIFT;
    const int32_t scaled_1 =
        tidepool_requantize((a - p->zero_point_1) * one, p->multiplier_1, p->shift_1);
    const int32_t scaled_2 =
        tidepool_requantize((b - p->zero_point_2) * one, p->multiplier_2, p->shift_2);
    const int32_t difference = scaled_1 - scaled_2;
    const int32_t result =
        tidepool_requantize(difference * difference, p->output_multiplier, p->output_shift);
    return (int8_t)tidepool_clamp(result + p->output_zero_point, p->output_min, p->output_max);
}

TIDEPOOL_KERNEL
void tidepool_squared_difference(const tidepool_difference_params *params, const int8_t *input_1,
                                 const int8_t *input_2, int8_t *output)
{
    const tidepool_broadcast *s = &params->broadcast;
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    tidepool_broadcast_place place = {{0}, 0, 0};

    do {
        for (int32_t i = 0; i < s->sizes[last]; ++i) {
            *output++ = square(params, input_1[place.offset_1 + i * s->strides_1[last]],
                               input_2[place.offset_2 + i * s->strides_2[last]]);
        }
    } while (tidepool_next_row(s, &place) != 0);
}
