/* SOFTMAX, int8, in fixed point. Qm.n below: m integer bits, n fraction bits. */
#include "tidepool_arithmetic.h"
#include "tidepool_reductions.h"

/* The sum of a row is Q12.19: 4095 exponentials of at most 1 fit. */
#define SUM_INTEGER_BITS 12

/* 48/17 and -32/17 in Q2.29: the linear first guess of 1/x that is best on [1/2, 1]. */
#define GUESS_CONSTANT INT32_C(1515870810)
#define GUESS_SLOPE INT32_C(-1010580540)

static int32_t saturating_double(int32_t x, int32_t times)
{
    int64_t wide = x;
    for (int32_t i = 0; i < times; ++i) {
        wide *= 2;
    }
    if (wide > INT32_MAX) {
        return INT32_MAX;
    }
    return (wide < INT32_MIN) ? INT32_MIN : (int32_t)wide;
}

/* 1 / (1 + x) in Q0.31 for x in [0, 1), Q0.31: three Newton-Raphson steps r += r (1 - d r) for
 * the reciprocal of d = (1 + x) / 2, with r in Q2.29. */
static int32_t reciprocal_of_one_plus(int32_t x)
{
    const int32_t one = INT32_C(1) << 29;
    const int32_t d = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t r = GUESS_CONSTANT + tidepool_high_mul(d, GUESS_SLOPE);
    for (int32_t step = 0; step < 3; ++step) {
        const int32_t error = one - tidepool_high_mul(d, r);
        r += saturating_double(tidepool_high_mul(r, error), 2);
    }
    /* r = 2 / (1 + x) in Q2.29 is 1 / (1 + x) in Q1.30. */
    return saturating_double(r, 1);
}

static int32_t leading_zeros(uint32_t x)
{
    int32_t count = 0;
    while (count < 32 && (x & (UINT32_C(1) << (31 - count))) == 0) {
        ++count;
    }
    return count;
}

static void softmax_row(const tidepool_softmax_params *p, const int8_t *input, int8_t *output)
{
    int32_t max = INT8_MIN;
    for (int32_t i = 0; i < p->depth; ++i) {
        max = (input[i] > max) ? input[i] : max;
    }

    int32_t sum = 0;
    for (int32_t i = 0; i < p->depth; ++i) {
        const int32_t distance = max - input[i];
        if (distance < p->exponentials_count) {
            sum += tidepool_rounding_shift(p->exponentials[distance], SUM_INTEGER_BITS);
        }
    }

    /* sum = (1 + x) * 2^(SUM_INTEGER_BITS - headroom), x in [0, 1). The maximum itself adds 1,
     * so that the sum is at least 1. */
    const int32_t headroom = leading_zeros((uint32_t)sum);
    const uint32_t fraction = ((uint32_t)sum << headroom) - (UINT32_C(1) << 31);
    const int32_t reciprocal = reciprocal_of_one_plus((int32_t)fraction);
    /* 8 bits of result. Up to 34, when everything rounds to 0: there the reference aborts. */
    const int32_t shift = SUM_INTEGER_BITS - headroom + 31 - 8;

    for (int32_t i = 0; i < p->depth; ++i) {
        const int32_t distance = max - input[i];
        int32_t result = INT8_MIN;
        if (distance < p->exponentials_count) {
            const int32_t share = tidepool_high_mul(reciprocal, p->exponentials[distance]);
            result += tidepool_rounding_shift(share, shift);
        }
        output[i] = (int8_t)tidepool_clamp(result, INT8_MIN, INT8_MAX);
    }
}

TIDEPOOL_KERNEL
void tidepool_softmax(const tidepool_softmax_params *params, const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < params->rows; ++row) {
        softmax_row(params, input + row * params->depth, output + row * params->depth);
    }
}
