/* Sums of products with weights of four bits, for cores without the DSP extension.
 *
 * The weights of two taps for four channels are a word of nibbles without sign, 8 added to each:
 *   of the lower half, from the lowest: channel 0, channel 2 of the first tap, the same of the second
 *   of the upper half: likewise channels 1 and 3
 * so that a mask gives two channels' weights in the halves of a word, and x times that adds to two
 * sums, s[0] + s[1] << 16, in one multiplication. 16 taps are within 16 bits: 16 * 128 * 15 < 2^15.
 * The second tap of an odd number's last word has nibbles of 0. */
#ifndef TIDEPOOL_NIBBLES_H
#define TIDEPOOL_NIBBLES_H

#include "tidepool_quads.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_NIBBLES_ZERO_POINT 8
#define TIDEPOOL_NIBBLES_TAPS 2       /* of a word */
#define TIDEPOOL_NIBBLES_BLOCK 8      /* words that are added up before sums come apart */
#define TIDEPOOL_NIBBLES 0x000F000Fu

/* Adds two sums in one to those of their channels. */
static inline void tidepool_add_halves(uint32_t both, int32_t *sums)
{
    const int32_t low = (int16_t)(uint16_t)both;
    sums[0] += low;
    sums[1] += tidepool_shift((int32_t)(both - (uint32_t)low), 16);
}

/* What two rows of taps, or one with two words of weights, add to two sums of four channels: `x` with
 * `words`, `y` with `more`. `taps` is even. */
TIDEPOOL_APART void tidepool_add_nibbles(const int8_t *x, const int8_t *y, const uint32_t *words,
                                         const uint32_t *more, int32_t taps, int32_t *sums)
{
    int32_t left = taps / TIDEPOOL_NIBBLES_TAPS;
    while (left > 0) {
        const int32_t some = tidepool_clamp(left, 0, TIDEPOOL_NIBBLES_BLOCK);
        const uint32_t *const end = words + some;
        uint32_t x_first = 0;
        uint32_t x_second = 0;
        uint32_t y_first = 0;
        uint32_t y_second = 0;
        do {
            const uint32_t w = *words++;
            const uint32_t v = *more++;
            const uint32_t x_0 = (uint32_t)(int32_t)x[0];
            const uint32_t y_0 = (uint32_t)(int32_t)y[0];
            const uint32_t x_1 = (uint32_t)(int32_t)x[1];
            const uint32_t y_1 = (uint32_t)(int32_t)y[1];
            x_first += x_0 * (w & TIDEPOOL_NIBBLES);
            y_first += y_0 * (v & TIDEPOOL_NIBBLES);
            x_second += x_0 * (w >> 4 & TIDEPOOL_NIBBLES);
            y_second += y_0 * (v >> 4 & TIDEPOOL_NIBBLES);
            x_first += x_1 * (w >> 8 & TIDEPOOL_NIBBLES);
            y_first += y_1 * (v >> 8 & TIDEPOOL_NIBBLES);
            x_second += x_1 * (w >> 12 & TIDEPOOL_NIBBLES);
            y_second += y_1 * (v >> 12 & TIDEPOOL_NIBBLES);
            x += TIDEPOOL_NIBBLES_TAPS;
            y += TIDEPOOL_NIBBLES_TAPS;
        } while (words != end);
        tidepool_add_halves(x_first, sums);
        tidepool_add_halves(x_second, sums + 2);
        tidepool_add_halves(y_first, sums + TIDEPOOL_FOUR);
        tidepool_add_halves(y_second, sums + TIDEPOOL_FOUR + 2);
        left -= some;
    }
}

/* The same of one tap. */
static inline void tidepool_add_last_nibbles(int8_t x, uint32_t word, int32_t *sums)
{
    const uint32_t tap = (uint32_t)(int32_t)x;
    tidepool_add_halves(tap * (word & TIDEPOOL_NIBBLES), sums);
    tidepool_add_halves(tap * (word >> 4 & TIDEPOOL_NIBBLES), sums + 2);
}

/* Two rows by four channels, or one by two fours: sums[0] to [3] of the first, [4] to [7] of the
 * second. */
static inline void tidepool_nibbles_by_two(const tidepool_row *first, const tidepool_row *second,
                                           const uint32_t *words, const uint32_t *more,
                                           int32_t taps, const int32_t *starts,
                                           const int32_t *more_starts, int32_t *sums)
{
    const int32_t last = taps / TIDEPOOL_NIBBLES_TAPS;
    for (int32_t c = 0; c < TIDEPOOL_FOUR; ++c) {
        sums[c] = starts[c] - first->excess;
        sums[TIDEPOOL_FOUR + c] = more_starts[c] - second->excess;
    }
    tidepool_add_nibbles(first->x, second->x, words, more, taps, sums);
    if (taps % TIDEPOOL_NIBBLES_TAPS != 0) {
        tidepool_add_last_nibbles(first->x[taps - 1], words[last], sums);
        tidepool_add_last_nibbles(second->x[taps - 1], more[last], sums + TIDEPOOL_FOUR);
    }
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_NIBBLES_H */
