/* L2_NORMALIZATION, int8. */
#include "tidepool_arithmetic.h"
#include "tidepool_reductions.h"

#define OUTPUT_BITS 7 /* the output scale is 1/128 */

typedef struct {
    int32_t multiplier;
    int32_t shift;
} factor;

/* x * 2^n; saturated. */
static int32_t shift_left(int32_t x, int32_t n)
{
    const int64_t wide = (int64_t)x * (INT64_C(1) << n);
    const int64_t raised = (wide < INT32_MIN) ? INT32_MIN : wide;
    return (int32_t)((raised > INT32_MAX) ? INT32_MAX : raised);
}

/* 1 / sqrt(x), x >= 0, by five steps of Newton's method from 1 in Q3.28, for x scaled by a power of
 * 4 to [2^27, 2^29). 0 counts as 1. */
static factor inverse_square_root(int32_t x)
{
    const int32_t half_three = (INT32_C(1) << 28) + (INT32_C(1) << 27); /* 1.5 in Q3.28 */
    const int32_t half_sqrt_2 = 1518500250;                             /* in Q0.31 */
    int32_t shift = 11;
    int32_t root = INT32_C(1) << 28;
    if (x <= 1) {
        return (factor){INT32_MAX, 0};
    }
    while (x >= (INT32_C(1) << 29)) {
        x /= 4;
        ++shift;
    }
    while (x < (INT32_C(1) << 27)) {
        x *= 4;
        --shift;
    }
    const int32_t half = tidepool_rounding_shift(x >> 1, 1);
    for (int32_t i = 0; i < 5; ++i) {
        const int32_t square = tidepool_high_mul(root, root);                   /* Q6.25 */
        const int32_t cube = shift_left(tidepool_high_mul(square, root), 6);    /* Q3.28 */
        const int32_t step = tidepool_high_mul(half_three, root) - tidepool_high_mul(half, cube);
        root = shift_left(step, 3);
    }
    root = tidepool_high_mul(root, half_sqrt_2);
    if (shift < 0) {
        return (factor){shift_left(root, -shift), 0};
    }
    return (factor){root, -shift};
}

TIDEPOOL_KERNEL
void tidepool_l2_normalization(const tidepool_l2_normalization_params *params,
                               const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < params->rows; ++row) {
        int32_t sum = 0;
        for (int32_t i = 0; i < params->depth; ++i) {
            const int32_t x = input[i] - params->input_zero_point;
            sum += x * x;
        }
        const factor norm = inverse_square_root(sum);
        for (int32_t i = 0; i < params->depth; ++i) {
            const int32_t scaled = tidepool_requantize(input[i] - params->input_zero_point,
                                                       norm.multiplier, norm.shift + OUTPUT_BITS);
            output[i] = (int8_t)tidepool_clamp(scaled, INT8_MIN, INT8_MAX);
        }
        input += params->depth;
        output += params->depth;
    }
}
