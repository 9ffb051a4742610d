/* FULLY_CONNECTED, int16 with int8 weights, sums of 32 bits. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

TIDEPOOL_KERNEL
void tidepool_fully_connected_int16(const tidepool_fully_connected_int16_params *params,
                                    const int16_t *input, int16_t *output)
{
    const tidepool_fully_connected_int16_params *p = params;
    const int32_t depth = p->input_depth;
    const tidepool_block block = {1, 1, depth, 0, 0, 0, 0};
    for (int32_t b = 0; b < p->batches; ++b) {
        int32_t c = 0;
        for (; p->output_depth - c >= 4; c += 4) {
            int32_t sums[4];
            tidepool_block_sum_x4(&block, input, p->weights + c * depth, depth, sums);
            for (int32_t i = 0; i < 4; ++i) {
                const int32_t multiplier = p->multipliers[(c + i) * p->per_channel];
                *output++ = tidepool_scale_sum(sums[i] + p->bias[c + i], multiplier,
                                               p->output_min, p->output_max);
            }
        }
        for (; c < p->output_depth; ++c) {
            const int32_t sum = tidepool_block_sum(&block, input, p->weights + c * depth);
            *output++ = tidepool_scale_sum(sum + p->bias[c], p->multipliers[c * p->per_channel],
                                           p->output_min, p->output_max);
        }
        input += depth;
    }
}
