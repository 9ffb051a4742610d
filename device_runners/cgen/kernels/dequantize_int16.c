/* DEQUANTIZE, int16 to float. */
#include "tidepool_16x8.h"

TIDEPOOL_KERNEL
void tidepool_dequantize_int16(const tidepool_dequantize_int16_params *params,
                               const int16_t *input, float *output)
{
    for (int32_t i = 0; i < params->count; ++i) {
        output[i] = params->scale * (float)input[i];
    }
}
