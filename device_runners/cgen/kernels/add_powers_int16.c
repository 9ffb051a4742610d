/* ADD, int16, of tensors whose scales are powers of two. */
#include "tidepool_arithmetic.h"
#include "tidepool_16x8.h"

TIDEPOOL_KERNEL
void tidepool_add_powers_int16(const tidepool_add_powers_int16_params *params,
                               const int16_t *input_1, const int16_t *input_2, int16_t *output)
{
    /* The clamp is within int16: saturating the sum first changes nothing. */
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t sum = tidepool_rounding_shift(input_1[i], params->shift_1) +
                            tidepool_rounding_shift(input_2[i], params->shift_2);
        output[i] = (int16_t)tidepool_clamp(sum, params->output_min, params->output_max);
    }
}
