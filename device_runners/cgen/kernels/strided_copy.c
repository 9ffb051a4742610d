/* SLICE, TRANSPOSE and the like, int8: copies a strided view. */
#include "tidepool_moves.h"

#include <string.h>

#define DIMENSIONS TIDEPOOL_MAX_MOVE_DIMENSIONS

/* The innermost dimension: `count` runs that lie `stride` elements apart. */
static int8_t *copy_runs(int8_t *output, const int8_t *input, int32_t count, int32_t stride,
                         int32_t run)
{
    if (run == 1) {
        for (int32_t i = 0; i < count; ++i) {
            *output++ = input[i * stride];
        }
        return output;
    }
    for (int32_t i = 0; i < count; ++i) {
        memcpy(output, &input[i * stride], (size_t)run);
        output += run;
    }
    return output;
}

TIDEPOOL_KERNEL
void tidepool_strided_copy(const tidepool_strided_copy_params *params, const int8_t *input,
                           int8_t *output)
{
    const int32_t last = DIMENSIONS - 1;
    int32_t index[DIMENSIONS] = {0};
    int32_t place = params->first;
    int32_t d = last;

    while (d >= 0) {
        output = copy_runs(output, &input[place], params->sizes[last], params->strides[last],
                           params->run);
        for (d = last - 1; d >= 0; --d) {
            place += params->strides[d];
            if (++index[d] < params->sizes[d]) {
                break;
            }
            place -= params->strides[d] * params->sizes[d];
            index[d] = 0;
        }
    }
}
