/* LOG_SOFTMAX, int8, in fixed point. Qm.n below: m integer bits, n fraction bits. */
#include "tidepool_arithmetic.h"
#include "tidepool_reductions.h"

/* The sum of a row is Q12.19: 4095 exponentials of at most 1 fit. */
#define SUM_INTEGER_BITS 12

#define OUTPUT_ZERO_POINT 127
#define OUTPUT_SHIFT 22 /* from Q5.26 to steps of 1/16 */

/* In Q0.31. */
#define LOG_2 INT32_C(1488522236)
#define SQRT_HALF INT32_C(1518500250)
#define SQRT_SQRT_HALF INT32_C(1805811301)

/* Coefficients of the rational approximation of log(r), in Q0.31. */
#define ALPHA_N INT32_C(117049297)
#define ALPHA_D INT32_C(127690142)
#define ALPHA_I INT32_C(1057819769)
#define ALPHA_F INT32_C(638450708)

/* 48/17 and -32/17 in Q2.29: the linear first guess of 1/x that is best on [1/2, 1]. */
#define GUESS_CONSTANT INT32_C(1515870810)
#define GUESS_SLOPE INT32_C(-1010580540)

/* x * 2^n; saturated. */
static int32_t shift_left(int32_t x, int32_t n)
{
    const int64_t wide = (int64_t)x * (INT64_C(1) << n);
    const int64_t raised = (wide < INT32_MIN) ? INT32_MIN : wide;
    return (int32_t)((raised > INT32_MAX) ? INT32_MAX : raised);
}

/* Of a positive number. */
static int32_t leading_zeros(int32_t x)
{
    int32_t count = 1;
    while ((x & (INT32_C(1) << (31 - count))) == 0) {
        ++count;
    }
    return count;
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
        r += shift_left(tidepool_high_mul(r, error), 2);
    }
    /* r = 2 / (1 + x) in Q2.29 is 1 / (1 + x) in Q1.30. */
    return shift_left(r, 1);
}

/* log(x) in Q5.26 for x >= 1 in Q12.19: x = 2^(z +- 1/4) r with r around sqrt(sqrt(1/2)), where z
 * is chosen of the two that come into question, and log(r) by a rational function. */
static int32_t logarithm(int32_t x)
{
    const int32_t quarter = INT32_C(1) << 23; /* in Q6.25 */
    const int32_t zeros = leading_zeros(x);
    const int32_t scaled = tidepool_high_mul(x, SQRT_HALF);
    const int32_t headroom = leading_zeros(scaled) - 1;

    const int32_t r_a = shift_left(tidepool_high_mul(shift_left(x, zeros - 1), SQRT_HALF), 1);
    const int32_t r_b = shift_left(x, headroom);
    const int32_t z_a = shift_left(SUM_INTEGER_BITS - zeros, 25) + quarter;
    const int32_t z_b = shift_left(SUM_INTEGER_BITS - headroom, 25) - quarter;
    const int32_t r = (r_a < r_b) ? r_a : r_b;
    const int32_t z = (z_a > z_b) ? z_a : z_b;

    const int32_t p = (int32_t)(((int64_t)r + SQRT_SQRT_HALF + 1) / 2);
    const int32_t q = (r - SQRT_SQRT_HALF) * 2;
    const int32_t square = tidepool_high_mul(q, q);
    const int32_t numerator = tidepool_high_mul(q, r) +
                              tidepool_high_mul(tidepool_high_mul(q, square), ALPHA_N);
    const int32_t denominator_minus_one =
        tidepool_high_mul(p, ALPHA_I + q + tidepool_high_mul(ALPHA_D, square)) +
        tidepool_high_mul(ALPHA_F, q);
    const int32_t quotient = tidepool_high_mul(tidepool_rounding_shift(numerator, 6),
                                               reciprocal_of_one_plus(denominator_minus_one));
    return shift_left(tidepool_high_mul(z, LOG_2) + quotient, 1);
}

static void log_softmax_row(const tidepool_log_softmax_params *p, const int8_t *input,
                            int8_t *output)
{
    int32_t max = INT8_MIN;
    for (int32_t i = 0; i < p->depth; ++i) {
        max = (input[i] > max) ? input[i] : max;
    }

    int32_t sum = 0;
    for (int32_t i = 0; i < p->depth; ++i) {
        const int32_t distance = max - input[i];
        if (distance < p->differences_count) {
            sum += tidepool_rounding_shift(p->exponentials[distance], SUM_INTEGER_BITS);
        }
    }

    /* Past this distance the result leaves Q5.26. */
    const int32_t log_sum = logarithm(sum);
    const int32_t limit =
        -tidepool_requantize(INT32_MIN + log_sum, p->reverse_multiplier, p->reverse_shift);
    for (int32_t i = 0; i < p->depth; ++i) {
        const int32_t distance = max - input[i];
        int32_t result = INT8_MIN;
        if (distance < p->differences_count && distance < limit) {
            result = tidepool_rounding_shift(p->differences[distance] - log_sum, OUTPUT_SHIFT) +
                     OUTPUT_ZERO_POINT;
        }
        output[i] = (int8_t)tidepool_clamp(result, INT8_MIN, INT8_MAX);
    }
}

TIDEPOOL_KERNEL
void tidepool_log_softmax(const tidepool_log_softmax_params *params, const int8_t *input,
                          int8_t *output)
{
    for (int32_t row = 0; row < params->rows; ++row) {
        log_softmax_row(params, input, output);
        input += params->depth;
        output += params->depth;
    }
}
