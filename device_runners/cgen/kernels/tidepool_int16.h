/* Functions of int16 fixed point, bit for bit as the reference (gemmlowp) computes them.
 * Qm.n below: m integer bits, n = 15 - m fraction bits. */
#ifndef TIDEPOOL_INT16_H
#define TIDEPOOL_INT16_H

#include "tidepool_arithmetic.h"

#ifdef __cplusplus
extern "C" {
#endif

/* round(a * b / 2^15), ties towards positive infinity. a and b are not both -2^15. */
static inline int32_t tidepool_mul_q15(int32_t a, int32_t b)
{
    return tidepool_shift(a * b + (1 << 14), 15);
}

/* round(x / 2^n), ties away from zero, 1 <= n <= 31 and |x| < 2^30: without 64 bits. */
static inline int32_t tidepool_short_rounding_shift(int32_t x, int32_t n)
{
    const int32_t away = (x < 0) ? 1 : 0;
    return tidepool_shift(x + (1 << (n - 1)) - away, n);
}

/* tidepool_requantize for |x| * 2^shift < 2^30: its product is below 2^30, too. */
static inline int32_t tidepool_short_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = (shift > 0) ? shift : 0;
    const int32_t result = tidepool_high_mul(x * (INT32_C(1) << left), multiplier);
    return (shift < 0) ? tidepool_short_rounding_shift(result, -shift) : result;
}

static inline int32_t tidepool_saturate_int16(int32_t x)
{
    return tidepool_clamp(x, INT16_MIN, INT16_MAX);
}

/* exp(a) in Q0.15 for a in [-1/4, 0), Q0.15: a Taylor polynomial around -1/8. */
static inline int32_t tidepool_exp_of_remainder_q15(int32_t a)
{
    const int32_t exp_minus_eighth = 28918;
    const int32_t third = 10923;
    const int32_t x = a + (1 << 12);
    const int32_t x2 = tidepool_mul_q15(x, x);
    const int32_t x3 = tidepool_mul_q15(x2, x);
    const int32_t x4 = tidepool_mul_q15(x2, x2);
    /* x^2/2 + x^3/6 + x^4/24 = (x^2 + (x^3 + x^4/4) / 3) / 2 */
    const int32_t sum = tidepool_mul_q15(tidepool_short_rounding_shift(x4, 2) + x3, third) + x2;
    const int32_t tail = tidepool_short_rounding_shift(sum, 1);
    return exp_minus_eighth + tidepool_mul_q15(exp_minus_eighth, x + tail);
}

static inline int32_t tidepool_times_power_q15(int32_t x, int32_t power, int32_t is_set)
{
    return (is_set != 0) ? tidepool_mul_q15(x, power) : x;
}

/* exp(a) in Q0.15 for a <= 0 in Q(integer_bits); integer_bits is 1 to 7. */
static inline int32_t tidepool_exp_on_negative_q15(int32_t a, int32_t integer_bits)
{
    const int32_t fraction_bits = 15 - integer_bits;
    const int32_t quarter = 1 << (fraction_bits - 2);
    const int32_t remainder = (a & (quarter - 1)) - quarter;
    const int32_t quarters = remainder - a;
    int32_t result = tidepool_exp_of_remainder_q15(remainder * (1 << integer_bits));
    if (a == 0) {
        return INT16_MAX;
    }
    if (integer_bits > 5 && a < -(1 << (fraction_bits + 5))) {
        return 0; /* below -32 */
    }
    result = tidepool_times_power_q15(result, 25520, quarters & quarter);          /* exp(-1/4) */
    result = tidepool_times_power_q15(result, 19875, quarters & (quarter * 2));    /* exp(-1/2) */
    result = tidepool_times_power_q15(result, 12055, quarters & (quarter * 4));    /* exp(-1) */
    result = tidepool_times_power_q15(result, 4435, quarters & (quarter * 8));     /* exp(-2) */
    result = tidepool_times_power_q15(result, 600, quarters & (quarter * 16));     /* exp(-4) */
    result = tidepool_times_power_q15(result, 11, quarters & (quarter * 32));      /* exp(-8) */
    return ((quarters & (quarter * 64)) != 0) ? 0 : result;                        /* exp(-16) */
}

/* 2 / (1 + x) in Q2.13 for x in [0, 1), Q0.15: three Newton-Raphson steps r += r (1 - d r) for the
 * reciprocal of d = (1 + x) / 2. Where the reference saturates, no x comes to the limit. */
static inline int32_t tidepool_two_over_one_plus_q13(int32_t x)
{
    const int32_t one = 1 << 13;
    const int32_t d = (x + INT16_MAX + 1) / 2;
    int32_t r = 23130 + tidepool_mul_q15(d, -15420); /* 48/17 - 32/17 d */
    for (int32_t step = 0; step < 3; ++step) {
        const int32_t error = one - tidepool_mul_q15(d, r);
        r += tidepool_mul_q15(r, error) * 4;
    }
    return r;
}

/* 1 / (1 + exp(-a)) in Q0.15 for a in Q3.12. */
static inline int32_t tidepool_logistic_q15(int32_t a)
{
    if (a == 0) {
        return 1 << 14;
    }
    const int32_t exponential = tidepool_exp_on_negative_q15((a > 0) ? -a : a, 3);
    const int32_t result =
        tidepool_saturate_int16(tidepool_two_over_one_plus_q13(exponential) * 2);
    return (a > 0) ? result : INT16_MAX - result;
}

/* tanh(a) = (1 - exp(-2a)) / (1 + exp(-2a)) in Q0.15 for a in Q(integer_bits), 0 to 6. */
static inline int32_t tidepool_tanh_q15(int32_t a, int32_t integer_bits)
{
    if (a == 0) {
        return 0;
    }
    const int32_t exponential =
        tidepool_exp_on_negative_q15((a > 0) ? -a : a, integer_bits + 1);
    const int32_t result = tidepool_saturate_int16(
        (tidepool_two_over_one_plus_q13(exponential) - (1 << 13)) * 4);
    return (a > 0) ? result : -result;
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_INT16_H */
