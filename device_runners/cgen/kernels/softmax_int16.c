/* SOFTMAX, int16, of two tables with linear interpolation. Qm.n: m integer bits, n fraction bits. */
#include "tidepool_arithmetic.h"
#include "tidepool_16x8.h"

/* The table's value at x in [-32768, 32767]: 512 pieces of 128 places. */
static int32_t look_up(const int16_t *table, int32_t x)
{
    const int32_t place = x - INT16_MIN;
    const int16_t *entry = &table[place >> 7];
    const int32_t slope = entry[1] - entry[0];
    return entry[0] + (int32_t)tidepool_asr(slope * (place & 127) + 64, 7);
}

static int32_t leading_zeros(uint32_t x)
{
    int32_t count = 0;
    while ((x & (UINT32_C(1) << 31)) == 0) {
        x <<= 1;
        ++count;
    }
    return count;
}

/* 1 / sum in Q0.15, normalized to [1/2, 1]; the sum is at least 1 in Q17.15, its maximum's share. */
static int32_t reciprocal(const tidepool_softmax_int16_params *p, uint32_t sum, int32_t zeros)
{
    const int64_t shifted = (int64_t)sum << (zeros - 1);
    const int32_t rounded = (int32_t)tidepool_asr(shifted + (INT64_C(1) << 13), 14);
    /* 1 + x, x in [0, 1], to x in [-32768, 32767] */
    const int32_t x = rounded - (INT32_C(1) << 16) - (INT32_C(1) << 15);
    return look_up(p->reciprocals, tidepool_clamp(x, INT16_MIN, INT16_MAX));
}

static void softmax_row(const tidepool_softmax_int16_params *p, const int16_t *input,
                        int16_t *output)
{
    int32_t max = INT16_MIN;
    for (int32_t i = 0; i < p->depth; ++i) {
        max = (input[i] > max) ? input[i] : max;
    }

    /* The exponentials wait in the output. */
    uint32_t sum = 0;
    for (int32_t i = 0; i < p->depth; ++i) {
        const int32_t scaled = tidepool_requantize(input[i] - max, p->multiplier, p->shift);
        const int32_t x = tidepool_clamp(scaled + INT16_MAX, INT16_MIN, INT16_MAX);
        const int32_t exponential = look_up(p->exponentials, x);
        sum += (uint32_t)exponential;
        output[i] = (int16_t)exponential;
    }

    const int32_t zeros = leading_zeros(sum);
    const int32_t factor = reciprocal(p, sum, zeros);
    const int32_t shift = 31 - zeros;
    const int32_t half = INT32_C(1) << (shift - 1);
    for (int32_t i = 0; i < p->depth; ++i) {
        const int32_t share = (int32_t)tidepool_asr((int64_t)output[i] * factor + half, shift);
        output[i] = (int16_t)tidepool_clamp(share, 0, INT16_MAX);
    }
}

TIDEPOOL_KERNEL
void tidepool_softmax_int16(const tidepool_softmax_int16_params *params, const int16_t *input,
                            int16_t *output)
{
    for (int32_t row = 0; row < params->rows; ++row) {
        softmax_row(params, input, output);
        input += params->depth;
        output += params->depth;
    }
}
