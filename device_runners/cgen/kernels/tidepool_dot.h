/* Sums of products of two vectors. */
#ifndef TIDEPOOL_DOT_H
#define TIDEPOOL_DOT_H

#include "tidepool_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sum + a[0] * b[0] + a[1] * b[1] + ... */
static inline int32_t tidepool_dot(const int8_t *a, const int8_t *b, int32_t count, int32_t sum)
{
#if TIDEPOOL_HAS_DSP
    uint32_t lanes = (uint32_t)sum;
    for (; count >= 4; count -= 4) {
        const uint32_t x = tidepool_load_word(a);
        const uint32_t y = tidepool_load_word(b);
        lanes = tidepool_smlad(tidepool_sxtb16(x), tidepool_sxtb16(y), lanes);
        lanes = tidepool_smlad(tidepool_sxtb16_odd(x), tidepool_sxtb16_odd(y), lanes);
        a += 4;
        b += 4;
    }
    sum = (int32_t)lanes;
#else
    for (; count >= 4; count -= 4) {
        sum += a[0] * b[0];
        sum += a[1] * b[1];
        sum += a[2] * b[2];
        sum += a[3] * b[3];
        a += 4;
        b += 4;
    }
#endif
    for (; count > 0; --count) {
        sum += *a++ * *b++;
    }
    return sum;
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_DOT_H */
