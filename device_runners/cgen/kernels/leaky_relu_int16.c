/* LEAKY_RELU, int16. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

TIDEPOOL_KERNEL
void tidepool_leaky_relu_int16(const tidepool_leaky_relu_int16_params *params,
                               const int16_t *input, int16_t *output)
{
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t x = input[i];
        const int32_t scaled =
            (x >= 0) ? tidepool_rescale_16(x, params->multiplier_1, params->shift_1)
                     : tidepool_rescale_16(x, params->multiplier_2, params->shift_2);
        output[i] = (int16_t)tidepool_clamp(scaled, INT16_MIN, INT16_MAX);
    }
}
