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

/* Adds two sums in one to those of their channels, modulo 2^32. */
static inline void tidepool_add_halves(uint32_t both, int32_t *sums)
{
    const int32_t low = (int16_t)(uint16_t)both;
    const int32_t high = tidepool_shift((int32_t)(both - (uint32_t)low), 16);
    sums[0] = (int32_t)((uint32_t)sums[0] + (uint32_t)low);
    sums[1] = (int32_t)((uint32_t)sums[1] + (uint32_t)high);
}

#if defined(TIDEPOOL_ASSEMBLY) && __ARM_ARCH_ISA_THUMB == 2

/* Products of the taps in r11 and r12 with two channels' weights; r8 is the mask, r10 free. */
#define TIDEPOOL_OF_ROWS(first, second, nibbles)                                \
    "and   r10, r8, r9" nibbles "\n\t"                                          \
    "mla   " first ", r11, r10, " first "\n\t"                                  \
    "mla   " second ", r12, r10, " second "\n\t"

/* Two taps of two rows: 16 multiply-accumulates in 17 instructions. */
#define TIDEPOOL_NIBBLES_OF_ROWS                                                \
    "ldr   r9, [r2], #4\n\t"                                                    \
    "ldrsb r11, [r0], #1\n\t ldrsb r12, [r1], #1\n\t"                          \
    TIDEPOOL_OF_ROWS("r4", "r6", "") TIDEPOOL_OF_ROWS("r5", "r7", ", lsr #4")   \
    "ldrsb r11, [r0], #1\n\t ldrsb r12, [r1], #1\n\t"                          \
    TIDEPOOL_OF_ROWS("r4", "r6", ", lsr #8") TIDEPOOL_OF_ROWS("r5", "r7", ", lsr #12")

/* Products of the tap in r11. */
#define TIDEPOOL_OF_FOURS(first, word, second, nibbles, others)                 \
    "and   r10, r8, " word nibbles "\n\t mla " first ", r11, r10, " first "\n\t" \
    "and   r10, r8, " word others "\n\t mla " second ", r11, r10, " second "\n\t"

/* Two taps of a row by eight channels: 16 in 20. */
#define TIDEPOOL_NIBBLES_OF_FOURS                                               \
    "ldr   r9, [r2], #4\n\t ldr r12, [r1], #4\n\t"                             \
    "ldrsb r11, [r0], #1\n\t"                                                   \
    TIDEPOOL_OF_FOURS("r4", "r9", "r5", "", ", lsr #4")                         \
    TIDEPOOL_OF_FOURS("r6", "r12", "r7", "", ", lsr #4")                        \
    "ldrsb r11, [r0], #1\n\t"                                                   \
    TIDEPOOL_OF_FOURS("r4", "r9", "r5", ", lsr #8", ", lsr #12")                \
    TIDEPOOL_OF_FOURS("r6", "r12", "r7", ", lsr #8", ", lsr #12")

/* A sum's halves go to its channels' sums at r9. */
#define TIDEPOOL_HALVES(both)                                                   \
    "ldrd  r10, r11, [r9]\n\t"                                                  \
    "sxth  r12, " both "\n\t"                                                   \
    "sub   " both ", " both ", r12\n\t"                                         \
    "add   r10, r10, r12\n\t"                                                   \
    "add   r11, r11, " both ", asr #16\n\t"                                     \
    "strd  r10, r11, [r9], #8\n\t"                                              \
    "mov   " both ", #0\n\t"

#define TIDEPOOL_ALL_HALVES                                                     \
    "ldr   r9, [sp, #36]\n\t"                                                   \
    TIDEPOOL_HALVES("r4") TIDEPOOL_HALVES("r5") TIDEPOOL_HALVES("r6") TIDEPOOL_HALVES("r7")

/* Blocks of eight words by fours, then those that are left one by one. */
#define TIDEPOOL_ADD_NIBBLES(WORD)                                              \
    __asm__ volatile(                                                           \
        ".syntax unified\n\t"                                                   \
        "push  {r4-r11, lr}\n\t"                                                \
        "mov   r8, #0x000F000F\n\t"                                             \
        "mov   r4, #0\n\t mov r5, #0\n\t mov r6, #0\n\t mov r7, #0\n\t"        \
        "subs  r3, r3, #8\n\t"                                                  \
        "blt   3f\n"                                                            \
        "1:\n\t"                                                                \
        "add   lr, r2, #32\n"                                                   \
        "2:\n\t" WORD WORD WORD WORD                                            \
        "cmp   r2, lr\n\t"                                                      \
        "bne   2b\n\t" TIDEPOOL_ALL_HALVES                                      \
        "subs  r3, r3, #8\n\t"                                                  \
        "bge   1b\n"                                                            \
        "3:\n\t"                                                                \
        "adds  r3, r3, #8\n\t"                                                  \
        "beq   5f\n\t"                                                          \
        "add   lr, r2, r3, lsl #2\n"                                            \
        "4:\n\t" WORD                                                           \
        "cmp   r2, lr\n\t"                                                      \
        "bne   4b\n\t" TIDEPOOL_ALL_HALVES                                      \
        "5:\n\t"                                                                \
        "pop   {r4-r11, pc}\n")

/* Two rows with the same words. */
TIDEPOOL_ASSEMBLY void tidepool_add_rows(const int8_t *x TIDEPOOL_UNUSED,
                                         const int8_t *y TIDEPOOL_UNUSED,
                                         const uint32_t *words TIDEPOOL_UNUSED,
                                         int32_t count TIDEPOOL_UNUSED,
                                         int32_t *sums TIDEPOOL_UNUSED)
{
    TIDEPOOL_ADD_NIBBLES(TIDEPOOL_NIBBLES_OF_ROWS);
}

/* A row with two fours' words. */
TIDEPOOL_ASSEMBLY void tidepool_add_fours(const int8_t *x TIDEPOOL_UNUSED,
                                          const uint32_t *more TIDEPOOL_UNUSED,
                                          const uint32_t *words TIDEPOOL_UNUSED,
                                          int32_t count TIDEPOOL_UNUSED,
                                          int32_t *sums TIDEPOOL_UNUSED)
{
    TIDEPOOL_ADD_NIBBLES(TIDEPOOL_NIBBLES_OF_FOURS);
}

#else

/* Adds the products of `x` with some words, and those of `y` with `more`, to two times four sums. */
TIDEPOOL_APART void tidepool_add_nibbles(const int8_t *x, const int8_t *y, const uint32_t *words,
                                         const uint32_t *more, int32_t count, int32_t *sums)
{
    int32_t left = count;
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

static inline void tidepool_add_rows(const int8_t *x, const int8_t *y, const uint32_t *words,
                                     int32_t count, int32_t *sums)
{
    tidepool_add_nibbles(x, y, words, words, count, sums);
}

static inline void tidepool_add_fours(const int8_t *x, const uint32_t *more, const uint32_t *words,
                                      int32_t count, int32_t *sums)
{
    tidepool_add_nibbles(x, x, words, more, count, sums);
}

#endif

/* The same of one tap. */
static inline void tidepool_add_last_nibbles(int8_t x, uint32_t word, int32_t *sums)
{
    const uint32_t tap = (uint32_t)(int32_t)x;
    tidepool_add_halves(tap * (word & TIDEPOOL_NIBBLES), sums);
    tidepool_add_halves(tap * (word >> 4 & TIDEPOOL_NIBBLES), sums + 2);
}

/* Two rows by four channels: sums[0] to [3] of the first row, [4] to [7] of the second. */
static inline void tidepool_rows_by_nibbles(const tidepool_row *rows, const uint32_t *words,
                                            int32_t taps, const int32_t *starts, int32_t *sums)
{
    const int32_t whole = taps / TIDEPOOL_NIBBLES_TAPS;
    for (int32_t c = 0; c < TIDEPOOL_FOUR; ++c) {
        sums[c] = (int32_t)((uint32_t)starts[c] - (uint32_t)rows[0].excess);
        sums[TIDEPOOL_FOUR + c] = (int32_t)((uint32_t)starts[c] - (uint32_t)rows[1].excess);
    }
    tidepool_add_rows(rows[0].x, rows[1].x, words, whole, sums);
    if (taps % TIDEPOOL_NIBBLES_TAPS != 0) {
        tidepool_add_last_nibbles(rows[0].x[taps - 1], words[whole], sums);
        tidepool_add_last_nibbles(rows[1].x[taps - 1], words[whole], sums + TIDEPOOL_FOUR);
    }
}

/* A row by `channels`, 4 or 8. */
static inline void tidepool_row_by_nibbles(const tidepool_row *row, const uint32_t *words,
                                           int32_t taps, const int32_t *starts, int32_t channels,
                                           int32_t *sums)
{
    const int32_t whole = taps / TIDEPOOL_NIBBLES_TAPS;
    const int32_t odd = taps % TIDEPOOL_NIBBLES_TAPS;
    const uint32_t *const more = (channels > TIDEPOOL_FOUR) ? words + whole + odd : words;
    int32_t both[2 * TIDEPOOL_FOUR] = {0};
    tidepool_add_fours(row->x, more, words, whole, both);
    if (odd != 0) {
        tidepool_add_last_nibbles(row->x[taps - 1], words[whole], both);
        tidepool_add_last_nibbles(row->x[taps - 1], more[whole], both + TIDEPOOL_FOUR);
    }
    for (int32_t c = 0; c < channels; ++c) {
        sums[c] = (int32_t)((uint32_t)starts[c] - (uint32_t)row->excess + (uint32_t)both[c]);
    }
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_NIBBLES_H */
