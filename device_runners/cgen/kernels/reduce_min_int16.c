/* REDUCE_MIN, int16, over any set of dimensions. */
#include "tidepool_16x8.h"

TIDEPOOL_KERNEL
void tidepool_reduce_min_int16(const tidepool_reduction *params, const int16_t *input,
                               int16_t *output)
{
    int32_t kept[TIDEPOOL_MAX_REDUCE_DIMENSIONS] = {0};
    int32_t kept_offset = 0;
    while (kept_offset >= 0) {
        int32_t reduced[TIDEPOOL_MAX_REDUCE_DIMENSIONS] = {0};
        int32_t offset = 0;
        int16_t best = input[kept_offset];
        while (offset >= 0) {
            const int16_t value = input[kept_offset + offset];
            best = (value < best) ? value : best;
            offset = tidepool_next_index(reduced, params->reduced_sizes, params->reduced_strides);
        }
        *output++ = best;
        kept_offset = tidepool_next_index(kept, params->kept_sizes, params->kept_strides);
    }
}
