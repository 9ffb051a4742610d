/* Sums of products and their requantization, for cores without the DSP extension.
 *
 * What a sum starts with is the sum for inputs of 0 (or -128), so that no partial sum overflows
 * where no sum does. */
#ifndef TIDEPOOL_SCALAR_H
#define TIDEPOOL_SCALAR_H

#include "tidepool_arithmetic.h"
#include "tidepool_channels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Two sums of products of bytes; the bytes of `shared` are loaded once for both. */
TIDEPOOL_APART void tidepool_add_products(const int8_t *shared, const int8_t *first,
                                          const int8_t *second, int32_t taps, int32_t *sums)
{
    int32_t a = sums[0];
    int32_t b = sums[1];
    for (; taps >= 4; taps -= 4) {
        a += shared[0] * first[0];
        b += shared[0] * second[0];
        a += shared[1] * first[1];
        b += shared[1] * second[1];
        a += shared[2] * first[2];
        b += shared[2] * second[2];
        a += shared[3] * first[3];
        b += shared[3] * second[3];
        shared += 4;
        first += 4;
        second += 4;
    }
    for (; taps > 0; --taps) {
        a += *shared * *first++;
        b += *shared++ * *second++;
    }
    sums[0] = a;
    sums[1] = b;
}

/* round(x * m / 2^31), ties towards positive infinity, for |x| <= 2^30; multiplier = 2 m - 2^32. */
static inline int32_t tidepool_scale(int32_t x, int32_t multiplier)
{
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
    /* No long multiplication: by halves. No term overflows. */
    const int32_t x_high = tidepool_shift(x, 16);
    const int32_t m_high = tidepool_shift(multiplier, 16);
    const uint32_t x_low = (uint16_t)x;
    const uint32_t m_low = (uint16_t)multiplier;
    const int32_t middle = (int32_t)x_low * m_high + (int32_t)((x_low * m_low) >> 16);
    const int32_t rest = x_high * (int32_t)m_low + (uint16_t)middle;
    const int32_t rounded = tidepool_shift(tidepool_shift(rest, 15) + 1, 1);
    return x + x_high * m_high + tidepool_shift(middle, 16) + rounded;
#else
    const int64_t start = (int64_t)x * (INT64_C(1) << 32) + (INT64_C(1) << 31);
    return (int32_t)tidepool_asr(start + (int64_t)x * multiplier, 32);
#endif
}

/* A sum's output, but for the clamp of the activation. The reference rounds twice, the second time
 * away from zero: [x < 0] is subtracted before the shift. Where x < 0 and the product rounds to 0,
 * that makes no difference. */
static inline int8_t tidepool_finish(int32_t x, int32_t multiplier, int32_t addend, int32_t right)
{
    const int32_t high = tidepool_scale(x, multiplier);
    return tidepool_saturate(high + (addend + tidepool_shift(x, 31)), right);
}

/* The same for every factor. */
TIDEPOOL_APART int8_t tidepool_finish_general(int32_t sum, const int32_t *factor)
{
    const int32_t scaled = tidepool_requantize(sum, factor[0], factor[2]);
    return (int8_t)tidepool_clamp(scaled + factor[1], INT8_MIN, INT8_MAX);
}

static inline int8_t tidepool_finish_either(int32_t sum, const int32_t *factor, int32_t general)
{
    return general ? tidepool_finish_general(sum, factor)
                   : tidepool_finish(sum, factor[0], factor[1], factor[2]);
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_SCALAR_H */
