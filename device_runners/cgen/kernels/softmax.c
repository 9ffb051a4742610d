/* SOFTMAX, int8, in fixed point. Qm.n below: m integer bits, n fraction bits. */
#include "tidepool_arithmetic.h"
#include "tidepool_reductions.h"

/* The sum of a row is Q12.19: 4095 exponentials of at most 1 fit. */
#define SUM_INTEGER_BITS 12

/* 48/17 and -32/17 in Q2.29: the linear first guess of 1/x that is best on [1/2, 1]. */
#define GUESS_CONSTANT INT32_C(1515870810)
#define GUESS_SLOPE INT32_C(-1010580540)

/* x * 2^n, clamped to 32 bits. */
static int32_t saturating_double(int32_t x, int32_t n)
{
    const int32_t limit = INT32_MAX >> n;
    if (x > limit) {
        return INT32_MAX;
    }
    return (x < -limit - 1) ? INT32_MIN : x * (INT32_C(1) << n);
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

/* round(x / 2^n), ties upwards; x < 2^31, 1 <= n < 32. */
static inline uint32_t rounding_shift(uint32_t x, int32_t n)
{
    return (x + (UINT32_C(1) << (n - 1))) >> n;
}

static int32_t maximum(const int8_t *input, int32_t count)
{
    int32_t max = INT8_MIN;
    for (int32_t i = 0; i < count; ++i) {
        max = (input[i] > max) ? input[i] : max;
    }
    return max;
}

static void softmax_row(const tidepool_softmax_params *p, const int8_t *input, int8_t *output)
{
    /* The output might alias the parameters, for all that a compiler knows. */
    const int32_t depth = p->depth;
    const int32_t count = p->exponentials_count;
    const int32_t *const exponentials = p->exponentials;
    const int32_t max = maximum(input, depth);
    uint32_t sum = 0;
    for (int32_t i = 0; i < depth; ++i) {
        const int32_t distance = max - input[i];
        if (distance < count) {
            sum += rounding_shift((uint32_t)exponentials[distance], SUM_INTEGER_BITS);
        }
    }

    /* sum = (1 + x) * 2^(SUM_INTEGER_BITS - headroom), x in [0, 1). The maximum itself adds 1,
     * so that the sum is at least 1. 8 bits of result. */
    int32_t shift = SUM_INTEGER_BITS + 31 - 8;
    for (; (sum & 0x80000000u) == 0; sum <<= 1) {
        --shift;
    }
    uint32_t doubled = 2u * (uint32_t)reciprocal_of_one_plus((int32_t)(sum - 0x80000000u));
    if (shift > 31) { /* everything rounds to 0: there the reference aborts */
        doubled = 0;
        shift = 31;
    }
    for (int32_t i = 0; i < depth; ++i) {
        const int32_t distance = max - input[i];
        uint32_t result = 0;
        if (distance < count) {
            const uint64_t share = (uint64_t)doubled * (uint32_t)exponentials[distance];
            result = rounding_shift((uint32_t)((share + 0x80000000u) >> 32), shift);
        }
        output[i] = (int8_t)((int32_t)(result > UINT8_MAX ? UINT8_MAX : result) + INT8_MIN);
    }
}

TIDEPOOL_KERNEL
void tidepool_softmax(const tidepool_softmax_params *params, const int8_t *input, int8_t *output)
{
    for (int32_t row = 0; row < params->rows; ++row) {
        softmax_row(params, input + row * params->depth, output + row * params->depth);
    }
}
