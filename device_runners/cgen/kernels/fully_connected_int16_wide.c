/* FULLY_CONNECTED, int16 with int8 weights of any zero point, sums of 64 bits. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

/* What the weights' zero point takes off every sum of a row. */
static int64_t zero_point_part(const tidepool_fully_connected_int16_wide_params *p,
                               const int16_t *row)
{
    int64_t sum = 0;
    if (p->weights_zero_point != 0) {
        for (int32_t d = 0; d < p->input_depth; ++d) {
            sum += row[d];
        }
    }
    return sum * p->weights_zero_point;
}

TIDEPOOL_KERNEL
void tidepool_fully_connected_int16_wide(const tidepool_fully_connected_int16_wide_params *params,
                                         const int16_t *input, int16_t *output)
{
    const tidepool_fully_connected_int16_wide_params *p = params;
    const tidepool_block block = {1, 1, p->input_depth, 0, 0, 0, 0};
    for (int32_t b = 0; b < p->batches; ++b) {
        const int64_t taken_off = zero_point_part(p, input);
        for (int32_t c = 0; c < p->output_depth; ++c) {
            const int64_t sum = tidepool_wide_sum(&block, input, p->weights + c * p->input_depth);
            const int32_t factor = c * p->per_channel;
            *output++ = tidepool_scale_wide_sum(sum - taken_off + p->bias[c],
                                                p->multipliers[factor], p->shifts[factor],
                                                p->output_min, p->output_max);
        }
        input += p->input_depth;
    }
}
