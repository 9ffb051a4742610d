/* QUANTIZE, int16 to int8. */
#include "tidepool_16x8.h"
#include "tidepool_16x8_sums.h"

TIDEPOOL_KERNEL
void tidepool_rescale_int16_to_int8(const tidepool_rescale_int16_params *params,
                                    const int16_t *input, int8_t *output)
{
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t scaled = tidepool_rescale_16(input[i], params->multiplier, params->shift);
        output[i] = (int8_t)tidepool_clamp(scaled + params->output_zero_point, params->output_min,
                                           params->output_max);
    }
}
