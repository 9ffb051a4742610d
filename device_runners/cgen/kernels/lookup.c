/* LOGISTIC, TANH and the like, int8: one table of 256 results. */
#include "tidepool_elementwise.h"

TIDEPOOL_KERNEL
void tidepool_lookup(const tidepool_lookup_params *params, const int8_t *input, int8_t *output)
{
    for (int32_t i = 0; i < params->count; ++i) {
        output[i] = params->table[input[i] + 128];
    }
}
