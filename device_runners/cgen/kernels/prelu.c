/* PRELU, int8, with broadcasting. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

static int8_t prelu(const tidepool_prelu_params *p, int32_t a, int32_t b)
{
    const int32_t x = a - p->input_zero_point;
    const int32_t scaled =
        (x >= 0) ? tidepool_requantize(x, p->multiplier_1, p->shift_1)
                 : tidepool_requantize(x * (b - p->slope_zero_point), p->multiplier_2, p->shift_2);
    return (int8_t)tidepool_clamp(scaled + p->output_zero_point, INT8_MIN, INT8_MAX);
}

TIDEPOOL_KERNEL
void tidepool_prelu(const tidepool_prelu_params *params, const int8_t *input, const int8_t *slope,
                    int8_t *output)
{
    const tidepool_broadcast *s = &params->broadcast;
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    tidepool_broadcast_place place = {{0}, 0, 0};

    do {
        for (int32_t i = 0; i < s->sizes[last]; ++i) {
            *output++ = prelu(params, input[place.offset_1 + i * s->strides_1[last]],
                              slope[place.offset_2 + i * s->strides_2[last]]);
        }
    } while (tidepool_next_row(s, &place) != 0);
}
