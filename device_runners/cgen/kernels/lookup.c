/* LOGISTIC, TANH and the like, int8: one table of 256 results. */
#include "tidepool_elementwise.h"

TIDEPOOL_KERNEL
void tidepool_lookup(const tidepool_lookup_params *params, const int8_t *input, int8_t *output)
{
    /* The output might alias the parameters, for all that a compiler knows. */
    const int8_t *const table = params->table + 128;
    const int32_t count = params->count;
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        output[i] = table[input[i]];
        output[i + 1] = table[input[i + 1]];
        output[i + 2] = table[input[i + 2]];
        output[i + 3] = table[input[i + 3]];
    }
    for (; i < count; ++i) {
        output[i] = table[input[i]];
    }
}
