/* TANH, int16: 2 logistic(2 x) - 1, of a table of 256 values, interpolated. */
#include "tidepool_arithmetic.h"
#include "tidepool_16x8.h"

#define FRACTION_BITS 8

/* The logistic function of |x| / (24 * 2^8), times 2^24. */
static int32_t logistic_of_magnitude(const uint16_t *table, int32_t magnitude)
{
    const int32_t index = magnitude >> FRACTION_BITS;
    if (index >= 255) {
        return INT32_C(0xFFFF) << FRACTION_BITS;
    }
    const int32_t fraction = magnitude & ((INT32_C(1) << FRACTION_BITS) - 1);
    return (table[index] << FRACTION_BITS) + fraction * (table[index + 1] - table[index]);
}

TIDEPOOL_KERNEL
void tidepool_tanh_int16(const tidepool_sigmoid_int16_params *params, const int16_t *input,
                         int16_t *output)
{
    const int32_t one_half = INT32_C(1) << (15 + FRACTION_BITS);
    const int32_t half = INT32_C(1) << (FRACTION_BITS - 1); /* of a step of the result */
    const int32_t round = (params->shift > 0) ? INT32_C(1) << (params->shift - 1) : 0;

    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t x =
            (int32_t)tidepool_asr(input[i] * params->multiplier + round, params->shift);
        const int32_t above = logistic_of_magnitude(params->table, (x < 0) ? -x : x) - one_half;
        const int32_t result = (x < 0) ? half - 1 - above : above + half;
        output[i] = (int16_t)tidepool_asr(result, FRACTION_BITS);
    }
}
