/* MUL, int8, with broadcasting. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

static int8_t mul(const tidepool_mul_params *p, int32_t a, int32_t b)
{
    const int32_t product = (a - p->zero_point_1) * (b - p->zero_point_2);
    const int32_t scaled = tidepool_requantize(product, p->multiplier, p->shift);
    return (int8_t)tidepool_clamp(scaled + p->output_zero_point, p->output_min, p->output_max);
}

TIDEPOOL_KERNEL
void tidepool_mul(const tidepool_mul_params *params, const int8_t *input_1, const int8_t *input_2,
                  int8_t *output)
{
    const tidepool_broadcast *s = &params->broadcast;
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    int32_t index[TIDEPOOL_MAX_BROADCAST_DIMENSIONS] = {0};
    int32_t d = last;

    /* One row of the innermost dimension, then on to the next row: an odometer. */
    while (d >= 0) {
        for (int32_t i = 0; i < s->sizes[last]; ++i) {
            *output++ = mul(params, input_1[i * s->strides_1[last]],
                            input_2[i * s->strides_2[last]]);
        }
        for (d = last - 1; d >= 0; --d) {
            input_1 += s->strides_1[d];
            input_2 += s->strides_2[d];
            if (++index[d] < s->sizes[d]) {
                break;
            }
            input_1 -= s->strides_1[d] * s->sizes[d];
            input_2 -= s->strides_2[d] * s->sizes[d];
            index[d] = 0;
        }
    }
}
