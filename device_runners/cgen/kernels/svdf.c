/* SVDF, int8, with the features of the past in int16. */
#include "tidepool_dot.h"
#include "tidepool_int16.h"
#include "tidepool_recurrent.h"

static int16_t feature(const tidepool_svdf_params *p, int32_t filter, const int8_t *input)
{
    const int8_t *weights = &p->weights_feature[filter * p->input_size];
    const int32_t sum = tidepool_dot(weights, input, p->input_size, p->feature_bias[filter]);
    return (int16_t)tidepool_saturate_int16(
        tidepool_short_requantize(sum, p->feature_multiplier, p->feature_shift));
}

/* Forgets the oldest feature, adds the newest one, and weighs them all. */
static uint32_t remember(const tidepool_svdf_params *p, int32_t filter, int16_t newest,
                         int16_t *state)
{
    const int16_t *weights = &p->weights_time[filter * p->memory];
    const int32_t last = p->memory - 1;
    uint32_t sum = 0;
    int32_t i = 0;
#if TIDEPOOL_HAS_DSP
    for (; i + 2 <= last; i += 2) {
        uint32_t pair;
        uint32_t factors;
        memcpy(&pair, &state[i + 1], sizeof pair);
        memcpy(&factors, &weights[i], sizeof factors);
        memcpy(&state[i], &pair, sizeof pair);
        sum = tidepool_smlad(factors, pair, sum);
    }
#endif
    for (; i < last; ++i) {
        const int16_t value = state[i + 1];
        state[i] = value;
        sum += (uint32_t)(weights[i] * value);
    }
    state[last] = newest;
    return sum + (uint32_t)(weights[last] * newest);
}

TIDEPOOL_KERNEL
void tidepool_svdf(const tidepool_svdf_params *params, const int8_t *input, int8_t *output,
                   int16_t *state)
{
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        int32_t filter = 0;
        for (int32_t unit = 0; unit < params->units; ++unit) {
            uint32_t sum = (params->bias == NULL) ? 0 : (uint32_t)params->bias[unit];
            for (int32_t r = 0; r < params->rank; ++r) {
                sum += remember(params, filter, feature(params, filter, input), state);
                state += params->memory;
                ++filter;
            }
            const int32_t result = tidepool_requantize(
                (int32_t)sum, params->output_multiplier, params->output_shift);
            *output++ = (int8_t)tidepool_clamp(result + params->output_zero_point, INT8_MIN,
                                               INT8_MAX);
        }
        input += params->input_size;
    }
}
