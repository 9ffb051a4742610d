/* ARG_MIN, int8 to int32 or int64. */
#include "tidepool_reductions.h"

static int32_t arg_min(const int8_t *values, int32_t extent, int32_t stride)
{
    int32_t best = 0;
    for (int32_t i = 1; i < extent; ++i) {
        if (values[i * stride] < values[best * stride]) {
            best = i;
        }
    }
    return best;
}

TIDEPOOL_KERNEL
void tidepool_arg_min(const tidepool_arg_params *params, const int8_t *input, void *output)
{
    const int32_t stride = params->inner;
    int32_t *narrow = output;
    int64_t *wide = output;
    for (int32_t outer = 0; outer < params->outer; ++outer) {
        for (int32_t inner = 0; inner < params->inner; ++inner) {
            const int32_t best = arg_min(&input[inner], params->extent, stride);
            if (params->wide != 0) {
                *wide++ = best;
            } else {
                *narrow++ = best;
            }
        }
        input += params->extent * stride;
    }
}
