/* Sums of products with weights of four bits, for cores without the DSP extension.
 *
 * The weights of two taps for four channels are a word of nibbles without sign, 8 added to each: the
 * lower ones of the bytes are a quad of the first tap (tidepool_quads.h), the upper ones of the
 * second, which are 0 in an odd number's last word.
 *
 * Where multiplying is cheap, a mask gives the weights of two channels in the halves of a word, and
 * x times that adds to two sums, s[0] + s[2] << 16, in one multiplication. 16 taps are within 16
 * bits: 16 * 128 * 15 < 2^15. */
#ifndef TIDEPOOL_NIBBLES_H
#define TIDEPOOL_NIBBLES_H

#include "tidepool_quads.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_NIBBLES_ZERO_POINT 8
#define TIDEPOOL_NIBBLES_TAPS 2 /* of a word */

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
    TIDEPOOL_OF_ROWS("r4", "r6", "") TIDEPOOL_OF_ROWS("r5", "r7", ", lsr #8")   \
    "ldrsb r11, [r0], #1\n\t ldrsb r12, [r1], #1\n\t"                          \
    TIDEPOOL_OF_ROWS("r4", "r6", ", lsr #4") TIDEPOOL_OF_ROWS("r5", "r7", ", lsr #12")

/* Products of the tap in r11. */
#define TIDEPOOL_OF_FOURS(first, word, second, nibbles, others)                 \
    "and   r10, r8, " word nibbles "\n\t mla " first ", r11, r10, " first "\n\t" \
    "and   r10, r8, " word others "\n\t mla " second ", r11, r10, " second "\n\t"

/* Two taps of a row by eight channels: 16 in 20. */
#define TIDEPOOL_NIBBLES_OF_FOURS                                               \
    "ldr   r9, [r2], #4\n\t ldr r12, [r1], #4\n\t"                             \
    "ldrsb r11, [r0], #1\n\t"                                                   \
    TIDEPOOL_OF_FOURS("r4", "r9", "r5", "", ", lsr #8")                         \
    TIDEPOOL_OF_FOURS("r6", "r12", "r7", "", ", lsr #8")                        \
    "ldrsb r11, [r0], #1\n\t"                                                   \
    TIDEPOOL_OF_FOURS("r4", "r9", "r5", ", lsr #4", ", lsr #12")                \
    TIDEPOOL_OF_FOURS("r6", "r12", "r7", ", lsr #4", ", lsr #12")

/* Both halves of a sum go to those of their channels. */
#define TIDEPOOL_HALVES(both, low, high)                                        \
    "sxth  r8, " both "\n\t"                                                    \
    "add   " low ", " low ", r8\n\t"                                            \
    "sub   " both ", " both ", r8\n\t"                                          \
    "add   " high ", " high ", " both ", asr #16\n\t"                           \
    "mov   " both ", #0\n\t"

#define TIDEPOOL_ALL_HALVES                                                     \
    "ldr   r9, [sp, #36]\n\t"                                                   \
    "ldmia r9, {r10, r11, r12, lr}\n\t"                                         \
    TIDEPOOL_HALVES("r4", "r10", "r12") TIDEPOOL_HALVES("r5", "r11", "lr")      \
    "stmia r9!, {r10, r11, r12, lr}\n\t"                                        \
    "ldmia r9, {r10, r11, r12, lr}\n\t"                                         \
    TIDEPOOL_HALVES("r6", "r10", "r12") TIDEPOOL_HALVES("r7", "r11", "lr")      \
    "stmia r9!, {r10, r11, r12, lr}\n\t"                                        \
    "mov   r8, #0x000F000F\n\t"

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

#define TIDEPOOL_NIBBLES_WORDS 1024 /* at a time: 2048 * 128 * 15 < 2^23 */

#if defined(TIDEPOOL_ASSEMBLY) && __ARM_ARCH_ISA_THUMB == 1

/* Two taps of a row; r9 is the mask. */
#define TIDEPOOL_NIBBLES_OF_ROW                                                 \
    "ldmia r1!, {r3}\n\t"                                                       \
    "lsrs  r5, r3, #4\n\t"                                                      \
    "mov   r4, r9\n\t"                                                          \
    "ands  r3, r4\n\t ands r5, r4\n\t"                                         \
    "ldrsb r2, [r0, r6]\n\t" TIDEPOOL_THREE("r3")                               \
    "ldrsb r2, [r0, r7]\n\t" TIDEPOOL_THREE("r5")                               \
    "adds  r0, r0, #2\n\t"

/* One row with some words. */
TIDEPOOL_ASSEMBLY void tidepool_multiply_nibbles(const int8_t *x TIDEPOOL_UNUSED,
                                                 const uint32_t *words TIDEPOOL_UNUSED,
                                                 int32_t count TIDEPOOL_UNUSED,
                                                 tidepool_products *result TIDEPOOL_UNUSED)
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push  {r4-r7, lr}\n\t"
        "mov   r4, r8\n\t mov r5, r9\n\t"
        "lsls  r6, r2, #2\n\t adds r6, r1, r6\n\t" /* behind the words, and whole fours of them */
        "lsrs  r2, r2, #2\n\t lsls r2, r2, #4\n\t"
        "adds  r2, r1, r2\n\t"
        "push  {r2-r6}\n\t" /* the latter, result, r8, r9, the former */
        "movs  r4, #15\n\t"
        "lsls  r5, r4, #8\n\t orrs r4, r5\n\t"
        "lsls  r5, r4, #16\n\t orrs r4, r5\n\t"
        "mov   r9, r4\n\t"
        "movs  r6, #0\n\t movs r7, #1\n\t"
        "mov   r8, r6\n\t mov r12, r6\n\t mov lr, r6\n\t"
        "b     2f\n"
        "1:\n\t" TIDEPOOL_NIBBLES_OF_ROW TIDEPOOL_NIBBLES_OF_ROW
            TIDEPOOL_NIBBLES_OF_ROW TIDEPOOL_NIBBLES_OF_ROW
        "2:\n\t"
        "ldr   r4, [sp]\n\t"
        "cmp   r1, r4\n\t"
        "bne   1b\n\t"
        "b     4f\n"
        "3:\n\t" TIDEPOOL_NIBBLES_OF_ROW
        "4:\n\t"
        "ldr   r4, [sp, #16]\n\t"
        "cmp   r1, r4\n\t"
        "bne   3b\n\t"
        "pop   {r2-r6}\n\t"
        "mov   r0, r8\n\t mov r1, r12\n\t mov r2, lr\n\t"
        "stmia r3!, {r0-r2}\n\t"
        "mov   r8, r4\n\t mov r9, r5\n\t"
        "pop   {r4-r7, pc}\n");
}

#else

static inline void tidepool_add_tap(int8_t x, uint32_t quad, tidepool_products *sum)
{
    const uint32_t tap = (uint32_t)(int32_t)x;
    const uint32_t reversed = tidepool_reverse(quad);
    sum->plain += tap * quad;
    sum->reversed += tap * reversed;
    sum->swapped += tap * ((reversed >> 16) | (reversed << 16));
}

/* One row with some words. */
static inline void tidepool_multiply_nibbles(const int8_t *x, const uint32_t *words, int32_t count,
                                             tidepool_products *result)
{
    tidepool_products sum = {0, 0, 0};
    for (; count > 0; --count) {
        tidepool_add_tap(x[0], *words & 0x0F0F0F0Fu, &sum);
        tidepool_add_tap(x[1], *words >> 4 & 0x0F0F0F0Fu, &sum);
        x += TIDEPOOL_NIBBLES_TAPS;
        ++words;
    }
    *result = sum;
}

#endif

/* A row by four channels. */
TIDEPOOL_APART void tidepool_add_nibbles(const int8_t *x, const uint32_t *words, int32_t count,
                                         int32_t *sums)
{
    while (count > 0) {
        const int32_t some = tidepool_clamp(count, 0, TIDEPOOL_NIBBLES_WORDS);
        tidepool_products products;
        tidepool_multiply_nibbles(x, words, some, &products);
        tidepool_take_apart(&products, sums, 0, sums);
        x += TIDEPOOL_NIBBLES_TAPS * some;
        words += some;
        count -= some;
    }
}

static inline void tidepool_add_rows(const int8_t *x, const int8_t *y, const uint32_t *words,
                                     int32_t count, int32_t *sums)
{
    tidepool_add_nibbles(x, words, count, sums);
    tidepool_add_nibbles(y, words, count, sums + TIDEPOOL_FOUR);
}

static inline void tidepool_add_fours(const int8_t *x, const uint32_t *more, const uint32_t *words,
                                      int32_t count, int32_t *sums)
{
    tidepool_add_nibbles(x, words, count, sums);
    tidepool_add_nibbles(x, more, count, sums + TIDEPOOL_FOUR);
}

#endif

/* The first tap of a word by four channels. */
static inline void tidepool_add_last_nibbles(int8_t x, uint32_t word, int32_t *sums)
{
    for (int32_t c = 0; c < TIDEPOOL_FOUR; ++c) {
        const int32_t product = x * (int32_t)(word >> (8 * c) & 15u);
        sums[c] = (int32_t)((uint32_t)sums[c] + (uint32_t)product);
    }
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
