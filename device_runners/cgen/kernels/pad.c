/* PAD and PADV2, int8, up to five dimensions. */
#include "tidepool_moves.h"

#include <string.h>

#define DIMENSIONS TIDEPOOL_MAX_PAD_DIMENSIONS

static int8_t *fill(int8_t *output, int32_t count, int32_t value)
{
    for (int32_t i = 0; i < count; ++i) {
        *output++ = (int8_t)value;
    }
    return output;
}

TIDEPOOL_KERNEL
void tidepool_pad(const tidepool_pad_params *params, const int8_t *input, int8_t *output)
{
    const int32_t last = DIMENSIONS - 1;
    int32_t block[DIMENSIONS]; /* elements of the output in one step of each dimension */
    int32_t index[DIMENSIONS] = {0};
    int32_t d = 0;

    block[last] = 1;
    for (int32_t i = last; i > 0; --i) {
        block[i - 1] = block[i] * (params->before[i] + params->sizes[i] + params->after[i]);
    }
    for (int32_t i = 0; i < last; ++i) {
        output = fill(output, params->before[i] * block[i], params->value);
    }
    /* One row of the input, then all the padding up to the next row. */
    while (d >= 0) {
        output = fill(output, params->before[last], params->value);
        memcpy(output, input, (size_t)params->sizes[last]);
        input += params->sizes[last];
        output = fill(output + params->sizes[last], params->after[last], params->value);
        for (d = last - 1; d >= 0; --d) {
            if (++index[d] < params->sizes[d]) {
                break;
            }
            index[d] = 0;
            output = fill(output, params->after[d] * block[d], params->value);
        }
        for (int32_t i = d + 1; d >= 0 && i < last; ++i) {
            output = fill(output, params->before[i] * block[i], params->value);
        }
    }
}
