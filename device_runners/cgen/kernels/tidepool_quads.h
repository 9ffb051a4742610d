/* Sums of products for cores without the DSP extension: four output channels by three
 * multiplications.
 *
 * The weights of a tap for four channels are a quad: a word of bytes without sign, u[0] to u[3] from
 * the lowest, 128 added to each. With s[i] the sum over the taps of x * u[i], the sums of x times the
 * quad, times its halves' bytes swapped, and times its bytes reversed are, modulo 2^32,
 *   plain     s[0]       + s[1] << 8  + s[2] << 16 + s[3] << 24
 *   swapped   s[0] << 8  + s[1]       + s[2] << 24 + s[3] << 16
 *   reversed  s[0] << 24 + s[1] << 16 + s[2] << 8  + s[3]
 * These are 96 bits, as are four sums of 24 bits: no two sets of sums in -2^23 .. 2^23 - 1 give the
 * same three words, see tidepool_take_apart. 256 taps are within that: 256 * 128 * 255 < 2^23. */
#ifndef TIDEPOOL_QUADS_H
#define TIDEPOOL_QUADS_H

#include "tidepool_scalar.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_FOUR 4
#define TIDEPOOL_QUADS_ZERO_POINT 128
#define TIDEPOOL_MOST_TAPS 256

/* The sums of x times a quad in its three orders. */
typedef struct {
    uint32_t plain;
    uint32_t swapped;
    uint32_t reversed;
} tidepool_products;

/* A row of taps, and what its sums have too much, for what was added to the weights; modulo 2^32, as
 * the sums are until that is off. */
typedef struct {
    const int8_t *x;
    int32_t excess;
} tidepool_row;

/* Bits 0 to 23 as a number with sign. */
static inline int32_t tidepool_low_24(uint32_t x)
{
    return tidepool_shift((int32_t)(x << 8), 8);
}

/* sums = starts - excess + the four sums that are in `p`, each in -2^23 .. 2^23 - 1. */
static inline void tidepool_take_apart(const tidepool_products *p, const int32_t *starts,
                                       int32_t excess, int32_t *sums)
{
    const uint32_t two = p->swapped - (p->reversed << 16); /* s[1] + s[0] << 8 */
    const uint32_t three = p->plain - (p->reversed << 24); /* s[0] + s[1] << 8 + s[2] << 16 */
    const uint32_t others = p->reversed - (two << 16);     /* s[3] + s[2] << 8 */
    /* Without the lower half of s[0], there is s[1] in 24 bits, and above it the rest of s[0]. */
    const uint32_t low_0 = (three - (two << 8)) & 0xFFFFu;
    const uint32_t rest_0 = two - (low_0 << 8);
    const int32_t s1 = tidepool_low_24(rest_0);
    const int32_t s0 = (int32_t)low_0 + tidepool_shift((int32_t)(rest_0 - (uint32_t)s1), 8);
    /* Likewise s[3] and s[2]. */
    const uint32_t low_2 = (three - (uint32_t)s0 - ((uint32_t)s1 << 8)) >> 16;
    const uint32_t rest_2 = others - (low_2 << 8);
    const int32_t s3 = tidepool_low_24(rest_2);
    const int32_t s2 = (int32_t)low_2 + tidepool_shift((int32_t)(rest_2 - (uint32_t)s3), 8);
    sums[0] = (int32_t)((uint32_t)starts[0] - (uint32_t)excess + (uint32_t)s0);
    sums[1] = (int32_t)((uint32_t)starts[1] - (uint32_t)excess + (uint32_t)s1);
    sums[2] = (int32_t)((uint32_t)starts[2] - (uint32_t)excess + (uint32_t)s2);
    sums[3] = (int32_t)((uint32_t)starts[3] - (uint32_t)excess + (uint32_t)s3);
}

#define TIDEPOOL_MAX_WORDS 128

/* The sum of bytes. By words, it is that of bytes without sign, 128 added to each: of all bytes in
 * their places, and of the odd ones in the halves of a word. */
TIDEPOOL_APART int32_t tidepool_sum_bytes(const int8_t *x, int32_t count)
{
    const uint32_t odd_bytes = 0x00FF00FFu;
    int32_t total = 0;
    if (tidepool_are_words(x, x)) {
        while (count >= 4) {
            const int32_t words = tidepool_clamp(count / 4, 0, TIDEPOOL_MAX_WORDS);
            const int8_t *const end = x + 4 * words;
            uint32_t all = 0;
            uint32_t odd = 0;
            for (; x != end; x += 4) {
                const uint32_t word = tidepool_word_at(x) ^ 0x80808080u;
                all += word;
                odd += (word >> 8) & odd_bytes;
            }
            const uint32_t even = all - (odd << 8);
            total += (int32_t)((even & 0xFFFFu) + (even >> 16) + (odd & 0xFFFFu) + (odd >> 16));
            total -= 4 * 128 * words;
            count -= 4 * words;
        }
    }
    for (; count > 0; --count) {
        total += *x++;
    }
    return total;
}

/* What sums of a row have too much for `added` to each weight, modulo 2^32. */
static inline int32_t tidepool_excess(const int8_t *x, int32_t taps, int32_t added)
{
    return (int32_t)((uint32_t)tidepool_sum_bytes(x, taps) * (uint32_t)added);
}

#if defined(__GNUC__) && defined(__ARM_ARCH_ISA_THUMB)
#define TIDEPOOL_ASSEMBLY static __attribute__((naked, noinline, unused))
#define TIDEPOOL_UNUSED __attribute__((unused))
#endif

#if defined(TIDEPOOL_ASSEMBLY) && __ARM_ARCH_ISA_THUMB == 1

/* Cortex-M0+ and M23: eight registers are free to use, the others only add. */

/* The products of r2 with a quad, which they destroy; r4 is free. */
#define TIDEPOOL_THREE(quad)                                                    \
    "rev16 r4, " quad "\n\t muls r4, r2, r4\n\t add r12, r4\n\t"                \
    "rev   r4, " quad "\n\t muls r4, r2, r4\n\t add lr, r4\n\t"                 \
    "muls  " quad ", r2, " quad "\n\t add r8, " quad "\n\t"

#define TIDEPOOL_TWO_TAPS                                                       \
    "ldmia r1!, {r3, r5}\n\t"                                                   \
    "ldrsb r2, [r0, r6]\n\t" TIDEPOOL_THREE("r3")                               \
    "ldrsb r2, [r0, r7]\n\t" TIDEPOOL_THREE("r5")                               \
    "adds  r0, r0, #2\n\t"

/* One row with one quad a tap, up to TIDEPOOL_MOST_TAPS taps. */
TIDEPOOL_ASSEMBLY void tidepool_multiply(const int8_t *x TIDEPOOL_UNUSED,
                                         const uint32_t *quads TIDEPOOL_UNUSED,
                                         int32_t taps TIDEPOOL_UNUSED,
                                         tidepool_products *result TIDEPOOL_UNUSED)
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push  {r4-r7, lr}\n\t"
        "mov   r4, r8\n\t"
        "adds  r5, r0, r2\n\t" /* behind the taps, and behind whole eights of them */
        "lsrs  r2, r2, #3\n\t lsls r2, r2, #3\n\t"
        "adds  r2, r0, r2\n\t"
        "push  {r2-r5}\n\t" /* the latter, result, r8, the former */
        "movs  r6, #0\n\t movs r7, #1\n\t"
        "mov   r8, r6\n\t mov r12, r6\n\t mov lr, r6\n\t"
        "b     2f\n"
        "1:\n\t" TIDEPOOL_TWO_TAPS TIDEPOOL_TWO_TAPS TIDEPOOL_TWO_TAPS TIDEPOOL_TWO_TAPS
        "2:\n\t"
        "ldr   r4, [sp]\n\t"
        "cmp   r0, r4\n\t"
        "bne   1b\n\t"
        "b     4f\n"
        "3:\n\t"
        "ldmia r1!, {r3}\n\t"
        "ldrsb r2, [r0, r6]\n\t" TIDEPOOL_THREE("r3")
        "adds  r0, r0, #1\n"
        "4:\n\t"
        "ldr   r4, [sp, #12]\n\t"
        "cmp   r0, r4\n\t"
        "bne   3b\n\t"
        "pop   {r2, r3, r4, r5}\n\t"
        "mov   r5, r8\n\t mov r6, r12\n\t mov r7, lr\n\t"
        "stmia r3!, {r5-r7}\n\t"
        "mov   r8, r4\n\t"
        "pop   {r4-r7, pc}\n");
}

#else

static inline uint32_t tidepool_reverse(uint32_t x)
{
    return (x >> 24) | ((x >> 8) & 0xFF00u) | ((x & 0xFF00u) << 8) | (x << 24);
}

/* One row with one quad a tap, up to TIDEPOOL_MOST_TAPS taps. */
TIDEPOOL_APART void tidepool_multiply(const int8_t *x, const uint32_t *quads, int32_t taps,
                                      tidepool_products *result)
{
    tidepool_products sum = {0, 0, 0};
    for (; taps > 0; --taps) {
        const uint32_t tap = (uint32_t)(int32_t)*x++;
        const uint32_t quad = *quads++;
        const uint32_t reversed = tidepool_reverse(quad);
        sum.plain += tap * quad;
        sum.reversed += tap * reversed;
        sum.swapped += tap * ((reversed >> 16) | (reversed << 16));
    }
    *result = sum;
}

#endif

#if defined(TIDEPOOL_ASSEMBLY) && __ARM_ARCH_ISA_THUMB == 2

/* The products of a tap with a quad; lr is free. */
#define TIDEPOOL_THREE(quad, tap, plain, swapped, reversed)                     \
    "mla   " plain ", " tap ", " quad ", " plain "\n\t"                         \
    "rev16 lr, " quad "\n\t"                                                    \
    "mla   " swapped ", " tap ", lr, " swapped "\n\t"                           \
    "rev   lr, " quad "\n\t"                                                    \
    "mla   " reversed ", " tap ", lr, " reversed "\n\t"

/* Likewise of taps of two rows. */
#define TIDEPOOL_SIX(quad)                                                      \
    "mla   r4, r11, " quad ", r4\n\t mla r7, r12, " quad ", r7\n\t"             \
    "rev16 lr, " quad "\n\t"                                                    \
    "mla   r5, r11, lr, r5\n\t mla r8, r12, lr, r8\n\t"                         \
    "rev   lr, " quad "\n\t"                                                    \
    "mla   r6, r11, lr, r6\n\t mla r9, r12, lr, r9\n\t"

#define TIDEPOOL_TWO_TAPS_OF_ROWS                                               \
    "ldmia r2!, {r3, r10}\n\t"                                                  \
    "ldrsb r11, [r0], #1\n\t ldrsb r12, [r1], #1\n\t" TIDEPOOL_SIX("r3")        \
    "ldrsb r11, [r0], #1\n\t ldrsb r12, [r1], #1\n\t" TIDEPOOL_SIX("r10")

#define TIDEPOOL_TWO_TAPS_OF_QUADS                                              \
    "ldrsb r11, [r0], #1\n\t ldrsb r12, [r0], #1\n\t"                           \
    "ldmia r1!, {r3, r10}\n\t" TIDEPOOL_THREE("r3", "r11", "r4", "r5", "r6")    \
    TIDEPOOL_THREE("r10", "r12", "r4", "r5", "r6")                              \
    "ldmia r2!, {r3, r10}\n\t" TIDEPOOL_THREE("r3", "r11", "r7", "r8", "r9")    \
    TIDEPOOL_THREE("r10", "r12", "r7", "r8", "r9")

/* A function's way in and out: r3 are the taps, the result is on the stack. */
#define TIDEPOOL_ENTER                                                          \
    ".syntax unified\n\t"                                                       \
    "push  {r4-r11, lr}\n\t"                                                    \
    "mov   r4, #0\n\t mov r5, #0\n\t mov r6, #0\n\t"                            \
    "mov   r7, #0\n\t mov r8, #0\n\t mov r9, #0\n\t"                            \
    "bic   r12, r3, #7\n\t"                                                     \
    "add   r12, r12, r0\n\t" /* behind whole eights of taps */                  \
    "add   lr, r3, r0\n\t"                                                      \
    "push  {r12, lr}\n\t"

#define TIDEPOOL_LEAVE                                                          \
    "ldr   lr, [sp, #44]\n\t"                                                   \
    "stmia lr, {r4-r9}\n\t"                                                     \
    "add   sp, sp, #8\n\t"                                                      \
    "pop   {r4-r11, pc}\n"

/* Two rows with one quad a tap: two results. */
TIDEPOOL_ASSEMBLY void tidepool_multiply_rows(const int8_t *x TIDEPOOL_UNUSED,
                                              const int8_t *y TIDEPOOL_UNUSED,
                                              const uint32_t *quads TIDEPOOL_UNUSED,
                                              int32_t taps TIDEPOOL_UNUSED,
                                              tidepool_products *results TIDEPOOL_UNUSED)
{
    __asm__ volatile(
        TIDEPOOL_ENTER
        "b     2f\n"
        "1:\n\t" TIDEPOOL_TWO_TAPS_OF_ROWS TIDEPOOL_TWO_TAPS_OF_ROWS
            TIDEPOOL_TWO_TAPS_OF_ROWS TIDEPOOL_TWO_TAPS_OF_ROWS
        "2:\n\t"
        "ldr   lr, [sp]\n\t"
        "cmp   r0, lr\n\t"
        "bne   1b\n\t"
        "b     4f\n"
        "3:\n\t"
        "ldr   r3, [r2], #4\n\t"
        "ldrsb r11, [r0], #1\n\t ldrsb r12, [r1], #1\n\t" TIDEPOOL_SIX("r3")
        "4:\n\t"
        "ldr   lr, [sp, #4]\n\t"
        "cmp   r0, lr\n\t"
        "bne   3b\n\t" TIDEPOOL_LEAVE);
}

/* One row with two quads a tap: two results. */
TIDEPOOL_ASSEMBLY void tidepool_multiply_quads(const int8_t *x TIDEPOOL_UNUSED,
                                               const uint32_t *quads TIDEPOOL_UNUSED,
                                               const uint32_t *more TIDEPOOL_UNUSED,
                                               int32_t taps TIDEPOOL_UNUSED,
                                               tidepool_products *results TIDEPOOL_UNUSED)
{
    __asm__ volatile(
        TIDEPOOL_ENTER
        "b     2f\n"
        "1:\n\t" TIDEPOOL_TWO_TAPS_OF_QUADS TIDEPOOL_TWO_TAPS_OF_QUADS
            TIDEPOOL_TWO_TAPS_OF_QUADS TIDEPOOL_TWO_TAPS_OF_QUADS
        "2:\n\t"
        "ldr   lr, [sp]\n\t"
        "cmp   r0, lr\n\t"
        "bne   1b\n\t"
        "b     4f\n"
        "3:\n\t"
        "ldrsb r11, [r0], #1\n\t"
        "ldr   r3, [r1], #4\n\t" TIDEPOOL_THREE("r3", "r11", "r4", "r5", "r6")
        "ldr   r3, [r2], #4\n\t" TIDEPOOL_THREE("r3", "r11", "r7", "r8", "r9")
        "4:\n\t"
        "ldr   lr, [sp, #4]\n\t"
        "cmp   r0, lr\n\t"
        "bne   3b\n\t" TIDEPOOL_LEAVE);
}

#else

static inline void tidepool_multiply_rows(const int8_t *x, const int8_t *y, const uint32_t *quads,
                                          int32_t taps, tidepool_products *results)
{
    tidepool_multiply(x, quads, taps, &results[0]);
    tidepool_multiply(y, quads, taps, &results[1]);
}

static inline void tidepool_multiply_quads(const int8_t *x, const uint32_t *quads,
                                           const uint32_t *more, int32_t taps,
                                           tidepool_products *results)
{
    tidepool_multiply(x, quads, taps, &results[0]);
    tidepool_multiply(x, more, taps, &results[1]);
}

#endif

/* One row by four channels. */
TIDEPOOL_APART void tidepool_row_by_four(const tidepool_row *row, const uint32_t *quads,
                                         int32_t taps, const int32_t *starts, int32_t *sums)
{
    int32_t excess = row->excess;
    for (int32_t done = 0; done < taps; done += TIDEPOOL_MOST_TAPS) {
        const int32_t some = tidepool_clamp(taps - done, 0, TIDEPOOL_MOST_TAPS);
        tidepool_products products;
        tidepool_multiply(row->x + done, quads + done, some, &products);
        tidepool_take_apart(&products, starts, excess, sums);
        starts = sums;
        excess = 0;
    }
}

/* One row by eight channels. */
TIDEPOOL_APART void tidepool_row_by_eight(const tidepool_row *row, const uint32_t *quads,
                                          int32_t taps, const int32_t *starts, int32_t *sums)
{
    int32_t excess = row->excess;
    for (int32_t done = 0; done < taps; done += TIDEPOOL_MOST_TAPS) {
        const int32_t some = tidepool_clamp(taps - done, 0, TIDEPOOL_MOST_TAPS);
        tidepool_products products[2];
        tidepool_multiply_quads(row->x + done, quads + done, quads + taps + done, some, products);
        tidepool_take_apart(&products[0], starts, excess, sums);
        tidepool_take_apart(&products[1], starts + TIDEPOOL_FOUR, excess, sums + TIDEPOOL_FOUR);
        starts = sums;
        excess = 0;
    }
}

/* Two rows by four channels: sums[0] to [3] of the first row, [4] to [7] of the second. */
TIDEPOOL_APART void tidepool_rows_by_four(const tidepool_row *rows, const uint32_t *quads,
                                          int32_t taps, const int32_t *starts, int32_t *sums)
{
    const int32_t *others = starts;
    int32_t excess[2] = {rows[0].excess, rows[1].excess};
    for (int32_t done = 0; done < taps; done += TIDEPOOL_MOST_TAPS) {
        const int32_t some = tidepool_clamp(taps - done, 0, TIDEPOOL_MOST_TAPS);
        tidepool_products products[2];
        tidepool_multiply_rows(rows[0].x + done, rows[1].x + done, quads + done, some, products);
        tidepool_take_apart(&products[0], starts, excess[0], sums);
        tidepool_take_apart(&products[1], others, excess[1], sums + TIDEPOOL_FOUR);
        starts = sums;
        others = sums + TIDEPOOL_FOUR;
        excess[0] = excess[1] = 0;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_QUADS_H */
