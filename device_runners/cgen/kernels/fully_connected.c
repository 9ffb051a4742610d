/* FULLY_CONNECTED, int8, one factor for all output channels or one for each. */
#include "tidepool_arithmetic.h"
#include "tidepool_dense.h"

TIDEPOOL_KERNEL
void tidepool_fully_connected(const tidepool_fully_connected_params *params, const int8_t *input,
                              int8_t *output)
{
    for (int32_t b = 0; b < params->batches; ++b) {
        const int8_t *row = input + b * params->input_depth;
        for (int32_t c = 0; c < params->output_depth; ++c) {
            const int8_t *weights = params->weights + c * params->input_depth;
            const int32_t factor = c * params->per_channel;
            int32_t sum = 0;
            for (int32_t d = 0; d < params->input_depth; ++d) {
                sum += (weights[d] - params->weights_zero_point) *
                       (row[d] - params->input_zero_point);
            }
            if (params->bias != NULL) {
                sum += params->bias[c];
            }
            sum = tidepool_requantize(sum, params->multipliers[factor], params->shifts[factor]);
            sum += params->output_zero_point;
            *output++ = (int8_t)tidepool_clamp(sum, params->output_min, params->output_max);
        }
    }
}
