/* Sums of products and their requantization, for cores without the DSP extension.
 *
 * What a sum starts with is the sum for inputs of 0 (or -128), so that no partial sum overflows
 * where no sum does.
 *
 * Weights of channels come by fours, [taps][4]; those of up to three channels that are left come
 * one after the other, [taps]. */
#ifndef TIDEPOOL_SCALAR_H
#define TIDEPOOL_SCALAR_H

#include "tidepool_arithmetic.h"
#include "tidepool_channels.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_FOUR 4 /* channels whose weights lie tap by tap */

/* Where registers are scarce, a loop by itself gets more of them. */
#if defined(__GNUC__)
#define TIDEPOOL_APART static __attribute__((noinline, unused))
#else
#define TIDEPOOL_APART static inline
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

/* Two rows of taps that are multiplied with the same weights. */
typedef struct {
    const int8_t *first;
    const int8_t *second;
    /* On small cores, see tidepool_join_rows: */
    const int32_t *joined;
    uint32_t first_excess; /* what joined sums have too much */
    uint32_t second_excess;
} tidepool_rows;

#if defined(__GNUC__) && defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1

/* Cortex-M0+ and M23: eight registers are free to use, the others only add. */

/* Four products of one tap; r2 and r3 are free. */
#define TIDEPOOL_PRODUCTS(tap)                                      \
    "ldrsb r2, [r0, " tap "]\n\t"                                   \
    "ldrsb r3, [r1, r4]\n\t muls r3, r2, r3\n\t add r8, r3\n\t"     \
    "ldrsb r3, [r1, r5]\n\t muls r3, r2, r3\n\t add r9, r3\n\t"     \
    "ldrsb r3, [r1, r6]\n\t muls r3, r2, r3\n\t add r10, r3\n\t"    \
    "ldrsb r3, [r1, r7]\n\t muls r3, r2, r3\n\t add r11, r3\n\t"    \
    "adds  r1, r1, #4\n\t"

/* Adds the products of one row of taps with four channels' weights. */
static __attribute__((naked, noinline, unused)) void tidepool_add_row(
    const int8_t *x __attribute__((unused)), const int8_t *weights __attribute__((unused)),
    int32_t taps __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push  {r4-r7, lr}\n\t"
        "mov   r4, r8\n\t mov r5, r9\n\t mov r6, r10\n\t mov r7, r11\n\t"
        "push  {r2-r7}\n\t" /* taps, sums, high registers */
        "ldmia r3!, {r4-r7}\n\t"
        "mov   r8, r4\n\t mov r9, r5\n\t mov r10, r6\n\t mov r11, r7\n\t"
        "movs  r4, #0\n\t movs r5, #1\n\t movs r6, #2\n\t movs r7, #3\n\t"
        "bics  r2, r2, r7\n\t" /* whole quads of taps */
        "add   r2, r2, r0\n\t"
        "mov   r12, r2\n\t"
        "b     2f\n"
        "1:\n\t" TIDEPOOL_PRODUCTS("r4") TIDEPOOL_PRODUCTS("r5") TIDEPOOL_PRODUCTS("r6")
            TIDEPOOL_PRODUCTS("r7")
        "adds  r0, r0, #4\n"
        "2:\n\t"
        "cmp   r0, r12\n\t"
        "bne   1b\n\t"
        "ldr   r2, [sp]\n\t"
        "ands  r2, r2, r7\n\t" /* those that are left */
        "add   r2, r2, r0\n\t"
        "mov   r12, r2\n\t"
        "b     4f\n"
        "3:\n\t" TIDEPOOL_PRODUCTS("r4")
        "adds  r0, r0, #1\n"
        "4:\n\t"
        "cmp   r0, r12\n\t"
        "bne   3b\n\t"
        "pop   {r2, r3}\n\t"
        "mov   r4, r8\n\t mov r5, r9\n\t mov r6, r10\n\t mov r7, r11\n\t"
        "stmia r3!, {r4-r7}\n\t"
        "pop   {r4-r7}\n\t"
        "mov   r8, r4\n\t mov r9, r5\n\t mov r10, r6\n\t mov r11, r7\n\t"
        "pop   {r4-r7, pc}\n");
}

/* Two rows as one: the second one's tap in the upper half of a word, so that one multiplication
 * serves both. `words` are 4 * taps bytes. */
static inline tidepool_rows tidepool_join_rows(const int8_t *first, const int8_t *second,
                                               int32_t taps, int32_t *words)
{
    /* Of each two taps, what r12 below adds to sums of the first row and of the second. */
    const uint32_t steps = ((uint32_t)taps + 1u) / 2u;
    const tidepool_rows rows = {first, second, words, steps * 0x7FFFu, 0u - steps};
    first += taps;
    second += taps;
    for (int32_t i = -taps; i != 0; ++i) {
        *words++ = first[i] + second[i] * 0x10000;
    }
    return rows;
}

/* The halves of r4 into two sums. Two products of bytes are at most 32,768 in a half: r12 makes
 * them what fits, 0 to 65,535 in the lower half and -32,768 to 32,767 in the upper one. */
#define TIDEPOOL_HALVES(low, high)              \
    "add   r4, r12\n\t"                         \
    "uxth  r5, r4\n\t"                          \
    "asrs  r4, r4, #16\n\t"                     \
    "add   " low ", r5\n\t"                     \
    "add   " high ", r4\n\t"

#define TIDEPOOL_TWO_TAPS(low, high)            \
    "ldrsb r4, [r1, r6]\n\t"                    \
    "ldrsb r5, [r1, r7]\n\t"                    \
    "muls  r4, r2, r4\n\t"                      \
    "muls  r5, r3, r5\n\t"                      \
    "adds  r4, r4, r5\n\t" TIDEPOOL_HALVES(low, high)

/* Two taps of both rows for two channels. */
#define TIDEPOOL_TWO_CHANNELS                   \
    "ldmia r0!, {r2, r3}\n\t" TIDEPOOL_TWO_TAPS("r8", "r10") \
    "adds  r1, r1, #1\n\t" TIDEPOOL_TWO_TAPS("r9", "r11")    \
    "adds  r1, r1, #7\n\t"

/* Adds the products of joined rows with four channels' weights, two channels at a time: to sums[0] to
 * [3] of the first row, [4] to [7] of the second. */
static __attribute__((naked, noinline, unused)) void tidepool_add_joined(
    const int32_t *words __attribute__((unused)), const int8_t *weights __attribute__((unused)),
    int32_t taps __attribute__((unused)), int32_t *sums __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push  {r4-r7, lr}\n\t"
        "mov   r4, r8\n\t mov r5, r9\n\t mov r6, r10\n\t mov r7, r11\n\t"
        "push  {r4-r7}\n\t"
        "movs  r4, #128\n\t lsls r4, r4, #8\n\t mvns r4, r4\n\t"
        "mov   r12, r4\n\t" /* 0x7FFF - 0x10000 */
        "movs  r4, #2\n\t"
        "push  {r0-r4}\n" /* words, weights, taps, sums, passes */
        "1:\n\t"
        "ldr   r3, [sp, #12]\n\t"
        "ldmia r3!, {r4, r5}\n\t adds r3, r3, #8\n\t ldmia r3!, {r6, r7}\n\t"
        "mov   r8, r4\n\t mov r9, r5\n\t mov r10, r6\n\t mov r11, r7\n\t"
        "movs  r6, #0\n\t movs r7, #4\n\t movs r4, #3\n\t"
        "ldr   r2, [sp, #8]\n\t"
        "bics  r2, r2, r4\n\t" /* whole quads of taps */
        "lsls  r2, r2, #2\n\t"
        "add   r2, r2, r0\n\t"
        "mov   lr, r2\n\t"
        "b     3f\n"
        "2:\n\t" TIDEPOOL_TWO_CHANNELS TIDEPOOL_TWO_CHANNELS
        "3:\n\t"
        "cmp   r0, lr\n\t"
        "bne   2b\n\t"
        "ldr   r5, [sp, #8]\n\t"
        "lsls  r5, r5, #31\n\t" /* carry: two taps are left; sign: one more */
        "bcc   4f\n\t" TIDEPOOL_TWO_CHANNELS
        "4:\n\t"
        "ldr   r5, [sp, #8]\n\t"
        "lsls  r5, r5, #31\n\t"
        "bpl   5f\n\t"
        "ldmia r0!, {r2}\n\t"
        "ldrsb r4, [r1, r6]\n\t"
        "muls  r4, r2, r4\n\t" TIDEPOOL_HALVES("r8", "r10")
        "adds  r1, r1, #1\n\t"
        "ldrsb r4, [r1, r6]\n\t"
        "muls  r4, r2, r4\n\t" TIDEPOOL_HALVES("r9", "r11")
        "5:\n\t"
        "ldr   r3, [sp, #12]\n\t"
        "mov   r4, r8\n\t mov r5, r9\n\t mov r6, r10\n\t mov r7, r11\n\t"
        "stmia r3!, {r4, r5}\n\t adds r3, r3, #8\n\t stmia r3!, {r6, r7}\n\t"
        "subs  r3, r3, #16\n\t"
        "ldr   r0, [sp]\n\t ldr r1, [sp, #4]\n\t adds r1, r1, #2\n\t"
        "ldr   r4, [sp, #16]\n\t"
        "str   r3, [sp, #12]\n\t"
        "subs  r4, r4, #1\n\t"
        "str   r4, [sp, #16]\n\t"
        "beq   6f\n\t"
        "b     1b\n"
        "6:\n\t"
        "add   sp, #20\n\t"
        "pop   {r4-r7}\n\t"
        "mov   r8, r4\n\t mov r9, r5\n\t mov r10, r6\n\t mov r11, r7\n\t"
        "pop   {r4-r7, pc}\n");
}

#define TIDEPOOL_START(i)                                             \
    sums[i] = (int32_t)((uint32_t)starts[i] - first);                 \
    sums[TIDEPOOL_FOUR + (i)] = (int32_t)((uint32_t)starts[i] - second)

/* Two rows by four channels: sums[0] to [3] of the first row, [4] to [7] of the second. */
static inline void tidepool_two_rows(const tidepool_rows *rows, const int8_t *weights,
                                     int32_t taps, const int32_t *starts, int32_t *sums)
{
    const uint32_t first = rows->first_excess;
    const uint32_t second = rows->second_excess;
    TIDEPOOL_START(0);
    TIDEPOOL_START(1);
    TIDEPOOL_START(2);
    TIDEPOOL_START(3);
    tidepool_add_joined(rows->joined, weights, taps, sums);
}

/* One row by four channels. */
static inline void tidepool_row_by_four(const int8_t *x, const int8_t *weights, int32_t taps,
                                        const int32_t *starts, int32_t *sums)
{
    for (int32_t i = 0; i < TIDEPOOL_FOUR; ++i) {
        sums[i] = starts[i];
    }
    tidepool_add_row(x, weights, taps, sums);
}

/* One row by eight channels. */
static inline void tidepool_row_by_eight(const int8_t *x, const int8_t *weights, int32_t taps,
                                         const int32_t *starts, int32_t *sums)
{
    tidepool_row_by_four(x, weights, taps, starts, sums);
    tidepool_row_by_four(x, weights + TIDEPOOL_FOUR * taps, taps, starts + TIDEPOOL_FOUR,
                         sums + TIDEPOOL_FOUR);
}

#else

static inline tidepool_rows tidepool_join_rows(const int8_t *first, const int8_t *second,
                                               int32_t taps, int32_t *words)
{
    const tidepool_rows rows = {first, second, words, 0, 0};
    (void)taps;
    return rows;
}

/* Four products of one tap into the sums whose names begin with `s`. */
#define TIDEPOOL_PRODUCTS(s, tap, weights)           \
    s##0 += (tap) * (weights)[0];                    \
    s##1 += (tap) * (weights)[1];                    \
    s##2 += (tap) * (weights)[2];                    \
    s##3 += (tap) * (weights)[3]

/* One row by four channels. */
TIDEPOOL_APART void tidepool_row_by_four(const int8_t *x, const int8_t *weights, int32_t taps,
                                         const int32_t *starts, int32_t *sums)
{
    int32_t a0 = starts[0], a1 = starts[1], a2 = starts[2], a3 = starts[3];
    for (; taps >= 2; taps -= 2) {
        TIDEPOOL_PRODUCTS(a, x[0], weights);
        TIDEPOOL_PRODUCTS(a, x[1], weights + 4);
        x += 2;
        weights += 8;
    }
    if (taps > 0) {
        TIDEPOOL_PRODUCTS(a, x[0], weights);
    }
    sums[0] = a0, sums[1] = a1, sums[2] = a2, sums[3] = a3;
}

/* One tap of two rows for four channels, weight by weight: none has to be kept. */
#define TIDEPOOL_TWO_TAPS(x, y, weights)             \
    do {                                             \
        const int32_t one = (x);                     \
        const int32_t other = (y);                   \
        a0 += one * (weights)[0];                    \
        b0 += other * (weights)[0];                  \
        a1 += one * (weights)[1];                    \
        b1 += other * (weights)[1];                  \
        a2 += one * (weights)[2];                    \
        b2 += other * (weights)[2];                  \
        a3 += one * (weights)[3];                    \
        b3 += other * (weights)[3];                  \
    } while (0)

/* Two rows by four channels: sums[0] to [3] of the first row, [4] to [7] of the second. */
TIDEPOOL_APART void tidepool_two_rows(const tidepool_rows *rows, const int8_t *weights,
                                      int32_t taps, const int32_t *starts, int32_t *sums)
{
    const int8_t *x = rows->first;
    const int8_t *y = rows->second;
    int32_t a0 = starts[0], a1 = starts[1], a2 = starts[2], a3 = starts[3];
    int32_t b0 = a0, b1 = a1, b2 = a2, b3 = a3;
    const int8_t *const end = weights + 4 * taps;
    for (const int8_t *const quads = weights + 4 * (taps & -4); weights != quads; weights += 16) {
        TIDEPOOL_TWO_TAPS(x[0], y[0], weights);
        TIDEPOOL_TWO_TAPS(x[1], y[1], weights + 4);
        TIDEPOOL_TWO_TAPS(x[2], y[2], weights + 8);
        TIDEPOOL_TWO_TAPS(x[3], y[3], weights + 12);
        x += 4;
        y += 4;
    }
    for (; weights != end; weights += 4) {
        TIDEPOOL_TWO_TAPS(*x, *y, weights);
        ++x;
        ++y;
    }
    sums[0] = a0, sums[1] = a1, sums[2] = a2, sums[3] = a3;
    sums[4] = b0, sums[5] = b1, sums[6] = b2, sums[7] = b3;
}

#define TIDEPOOL_EIGHT_TAPS(i)                       \
    TIDEPOOL_PRODUCTS(a, x[i], weights + 4 * (i));   \
    TIDEPOOL_PRODUCTS(b, x[i], more + 4 * (i))

/* One row by eight channels. */
TIDEPOOL_APART void tidepool_row_by_eight(const int8_t *x, const int8_t *weights, int32_t taps,
                                          const int32_t *starts, int32_t *sums)
{
    int32_t a0 = starts[0], a1 = starts[1], a2 = starts[2], a3 = starts[3];
    int32_t b0 = starts[4], b1 = starts[5], b2 = starts[6], b3 = starts[7];
    const int8_t *more = weights + 4 * taps;
    const int8_t *const end = x + taps;
    for (const int8_t *const quads = x + (taps & -4); x != quads; x += 4) {
        TIDEPOOL_EIGHT_TAPS(0);
        TIDEPOOL_EIGHT_TAPS(1);
        TIDEPOOL_EIGHT_TAPS(2);
        TIDEPOOL_EIGHT_TAPS(3);
        weights += 16;
        more += 16;
    }
    for (; x != end; ++x) {
        TIDEPOOL_EIGHT_TAPS(0);
        weights += 4;
        more += 4;
    }
    sums[0] = a0, sums[1] = a1, sums[2] = a2, sums[3] = a3;
    sums[4] = b0, sums[5] = b1, sums[6] = b2, sums[7] = b3;
}

#endif

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
