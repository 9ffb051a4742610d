/* MEAN, int8, over any set of dimensions. */
#include "tidepool_arithmetic.h"
#include "tidepool_reductions.h"

#define DIMENSIONS TIDEPOOL_MAX_MEAN_DIMENSIONS

/* Moves `index` on by one place in a block of `sizes`, the last dimension first. Returns the new
 * place's offset in elements, or -1 after the last place. */
static int32_t next_index(int32_t *index, const int32_t *sizes, const int32_t *strides)
{
    for (int32_t d = DIMENSIONS - 1; d >= 0; --d) {
        if (++index[d] < sizes[d]) {
            int32_t offset = 0;
            for (int32_t i = 0; i < DIMENSIONS; ++i) {
                offset += index[i] * strides[i];
            }
            return offset;
        }
        index[d] = 0;
    }
    return -1;
}

TIDEPOOL_KERNEL
void tidepool_mean(const tidepool_mean_params *params, const int8_t *input, int8_t *output)
{
    int32_t kept[DIMENSIONS] = {0};
    int32_t kept_offset = 0;
    while (kept_offset >= 0) {
        int32_t reduced[DIMENSIONS] = {0};
        int32_t reduced_offset = 0;
        int32_t sum = 0;
        while (reduced_offset >= 0) {
            sum += input[kept_offset + reduced_offset];
            reduced_offset = next_index(reduced, params->reduced_sizes, params->reduced_strides);
        }
        const int32_t mean = tidepool_requantize(sum - params->zero_point_sum, params->multiplier,
                                                 params->shift);
        *output++ =
            (int8_t)tidepool_clamp(mean + params->output_zero_point, INT8_MIN, INT8_MAX);
        kept_offset = next_index(kept, params->kept_sizes, params->kept_strides);
    }
}
