/* DEQUANTIZE, int8 to float. */
#include "tidepool_elementwise.h"

TIDEPOOL_KERNEL
void tidepool_dequantize(const tidepool_dequantize_params *params, const int8_t *input,
                         float *output)
{
    for (int32_t i = 0; i < params->count; ++i) {
        output[i] = params->scale * (float)(input[i] - params->zero_point);
    }
}
