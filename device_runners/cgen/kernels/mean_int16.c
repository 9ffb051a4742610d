/* MEAN, int16, over any set of dimensions. */
#include "tidepool_arithmetic.h"
#include "tidepool_16x8.h"

static int32_t sum_of(const tidepool_reduction *r, const int16_t *first)
{
    const int32_t last = TIDEPOOL_MAX_REDUCE_DIMENSIONS - 1;
    int32_t index[TIDEPOOL_MAX_REDUCE_DIMENSIONS] = {0};
    int32_t offset = 0;
    int32_t sum = 0;
    while (offset >= 0) {
        const int16_t *element = first + offset;
        for (int32_t i = r->reduced_sizes[last]; i > 0; --i) {
            sum += *element;
            element += r->reduced_strides[last];
        }
        index[last] = r->reduced_sizes[last] - 1;
        offset = tidepool_next_index(index, r->reduced_sizes, r->reduced_strides);
    }
    return sum;
}

TIDEPOOL_KERNEL
void tidepool_mean_int16(const tidepool_mean_int16_params *params, const int16_t *input,
                         int16_t *output)
{
    const tidepool_reduction *r = &params->reduction;
    int32_t kept[TIDEPOOL_MAX_REDUCE_DIMENSIONS] = {0};
    int32_t offset = 0;
    while (offset >= 0) {
        const int32_t sum = sum_of(r, input + offset);
        const int32_t mean = tidepool_requantize(sum, params->multiplier, params->shift);
        *output++ = (int16_t)tidepool_clamp(mean, INT16_MIN, INT16_MAX);
        offset = tidepool_next_index(kept, r->kept_sizes, r->kept_strides);
    }
}
