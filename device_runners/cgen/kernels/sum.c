/* SUM, int8, over any set of dimensions. */
#include "tidepool_arithmetic.h"
#include "tidepool_reductions.h"

TIDEPOOL_KERNEL
void tidepool_sum(const tidepool_sum_params *params, const int8_t *input, int8_t *output)
{
    const tidepool_reduction *r = &params->reduction;
    int32_t kept[TIDEPOOL_MAX_REDUCE_DIMENSIONS] = {0};
    int32_t kept_offset = 0;
    while (kept_offset >= 0) {
        int32_t reduced[TIDEPOOL_MAX_REDUCE_DIMENSIONS] = {0};
        int32_t offset = 0;
        int32_t sum = 0;
        while (offset >= 0) {
            sum += input[kept_offset + offset];
            offset = tidepool_next_index(reduced, r->reduced_sizes, r->reduced_strides);
        }
        const int32_t scaled = tidepool_requantize(sum - params->zero_point_sum,
                                                   params->multiplier, params->shift);
        *output++ =
            (int8_t)tidepool_clamp(scaled + params->output_zero_point, INT8_MIN, INT8_MAX);
        kept_offset = tidepool_next_index(kept, r->kept_sizes, r->kept_strides);
    }
}
