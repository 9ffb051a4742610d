/* RELU, RELU6 and QUANTIZE, int8 to int8: a change of scale and a clamp. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

TIDEPOOL_KERNEL
void tidepool_rescale(const tidepool_rescale_params *params, const int8_t *input, int8_t *output)
{
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t scaled = tidepool_requantize(input[i] - params->input_zero_point,
                                                   params->multiplier, params->shift);
        output[i] = (int8_t)tidepool_clamp(scaled + params->output_zero_point, params->output_min,
                                           params->output_max);
    }
}
