/* The loops of depthwise_3x3_dsp.c: rows of four channels.
 *
 * The input's rows are packed by twos into a plane for each channel: a word holds two rows' values of
 * one column, so that one SMLAD is two taps. Two planes (four rows) give two rows of results:
 *     upper row = upper plane (w0, w1) + lower plane's upper half * w2
 *     lower row = upper plane's lower half * w0 + lower plane (w1, w2)
 * With strides of 2 there is only the upper row, of the same planes. A pass is four results of one
 * channel: two columns of both rows, or four columns of the upper row. */
#ifndef TIDEPOOL_DSP_ROWS_H
#define TIDEPOOL_DSP_ROWS_H

#include "tidepool_dsp_planes.h"

#define CHANNELS TIDEPOOL_DSP_CHANNELS

/* A channel, unpacked: w01[x] holds the weights of rows 0 and 1 in column x, w12[x] of 1 and 2. The
 * instructions hold the address of w01, and reach the rest from there. */
typedef struct {
    int32_t record[3]; /* multiplier, addend, last */
    uint32_t w12[3];
    uint32_t w01[3];
    int32_t bias[4]; /* four times the same */
} channel_constants;

_Static_assert(sizeof(channel_constants) == 52, "the loops have it in their instructions");
_Static_assert(TIDEPOOL_FIXED_SHIFT == 4, "the loops have it in their instructions");

/* One or two rows of four channels. The results of a pass go to `output` and `steps` behind it, the
 * first one last: a step of 0 drops a result. */
typedef struct {
    int8_t *output;
    int32_t steps[3]; /* next column, lower row, its next column; or columns 1 to 3 */
    int32_t advance;  /* to the next pass */
    const channel_constants *constants;
    const uint32_t *upper; /* [CHANNELS][pitch / 4] */
    const uint32_t *lower;
    int32_t last;  /* bytes from `upper` to where the last whole pass may begin */
    int32_t pitch; /* bytes from a channel's plane to the next one's */
} rows;

#define PASS_1 8  /* bytes of a plane for a pass, strides of 1 */
#define PASS_2 32 /* strides of 2 */

#if TIDEPOOL_HAS_DSP

/* Fields of rows go to the stack: 0 output, 4 steps, 16 advance, 20 end of whole passes; then what the
 * next channel starts from: 24 upper, 28 lower, 32 last, 36 pitch, 40 output, 44 channels left. r0
 * is w01 of the constants; upper is in r1, lower in a register of the loop's choice. */
#define ENTER(lower)                \
    ".syntax unified\n\t"           \
    "push    {r4-r11, lr}\n\t"      \
    "sub     sp, #48\n\t"           \
    "ldmia   r0, {r3-r12}\n\t"      \
    "stmia   sp, {r3-r7}\n\t"       \
    "add     r0, r8, #24\n\t"       \
    "add     r1, sp, #24\n\t"       \
    "stmia   r1, {r9-r12}\n\t"      \
    "mov     r4, #4\n\t"            \
    "strd    r3, r4, [sp, #40]\n\t" \
    "mov     r1, r9\n\t"            \
    "mov     " lower ", r10\n\t"    \
    "add     r3, r1, r11\n\t"       \
    "str     r3, [sp, #20]\n\t"

/* To the next channel, if there is one. */
#define NEXT_CHANNEL(lower, again)         \
    "add     r0, #52\n\t"                  \
    "add     r3, sp, #24\n\t"              \
    "ldmia   r3, {r4-r9}\n\t"              \
    "add     r1, r4, r7\n\t"               \
    "add     " lower ", r5, r7\n\t"        \
    "strd    r1, " lower ", [sp, #24]\n\t" \
    "add     r8, r8, #1\n\t"               \
    "str     r8, [sp]\n\t"                 \
    "add     r6, r6, r1\n\t"               \
    "str     r6, [sp, #20]\n\t"            \
    "subs    r9, #1\n\t"                   \
    "strd    r8, r9, [sp, #40]\n\t"        \
    "bne.w   " again "\n\t"                \
    "add     sp, #48\n\t"                  \
    "pop     {r4-r11, pc}\n\t"

/* Whether the channel's form has a shift of its own. */
#define BRANCH_IF_SHIFTED(where) \
    "ldr     r3, [r0, #-16]\n\t" \
    "cmp     r3, #0\n\t"         \
    "blt.w   " where "\n\t"

/* result = (round(x m) + addend - [x < 0]) before the last shift */
#define ROUNDED(x)                        \
    "add     r7, r4, " x ", asr #31\n\t"  \
    "smmlar  " x ", " x ", r3, " x "\n\t" \
    "add     " x ", " x ", r7\n\t"

#define MULTIPLIED(x) "smmla   " x ", " x ", r3, r4\n\t"
#define SHIFTED(x) "asr     " x ", " x ", r5\n\t"
#define CLAMPED(x) "ssat    " x ", #8, " x "\n\t"
#define FIXED(x) "ssat    " x ", #8, " x ", asr #4\n\t"
#define OF_FOUR(what, a, b, c, d) what(a) what(b) what(c) what(d)

/* Sums to results. */
#define BY_FIXED_FORM(a, b, c, d)    \
    "ldrd    r3, r4, [r0, #-24]\n\t" \
    OF_FOUR(MULTIPLIED, a, b, c, d)  \
    OF_FOUR(FIXED, a, b, c, d)

#define BY_SHIFTED_FORM(a, b, c, d) \
    "sub     r5, r0, #24\n\t"       \
    "ldmia   r5, {r3, r4, r5}\n\t"  \
    "lsls    r7, r5, #1\n\t"        \
    "bmi     8f\n\t"                \
    OF_FOUR(MULTIPLIED, a, b, c, d) \
    "b       9f\n\t"                \
    "8:\n\t"                        \
    OF_FOUR(ROUNDED, a, b, c, d)    \
    "9:\n\t"                        \
    OF_FOUR(SHIFTED, a, b, c, d)    \
    OF_FOUR(CLAMPED, a, b, c, d)

/* Stores them and goes on while a whole pass is left. r8 - r1 is then how far the passes fell short. */
#define STORE(a, b, c, d, again)  \
    "ldmia   sp, {r3-r8}\n\t"     \
    "strb    " d ", [r3, r6]\n\t" \
    "strb    " c ", [r3, r5]\n\t" \
    "strb    " b ", [r3, r4]\n\t" \
    "strb    " a ", [r3]\n\t"     \
    "add     r3, r3, r7\n\t"      \
    "str     r3, [sp]\n\t"        \
    "cmp     r1, r8\n\t"          \
    "bls     " again "\n\t"

/* Two columns by two rows: r10, r11 upper row, r12, lr lower row. */
#define FOUR_SUMS                  \
    "ldmia   r0, {r7-r12, lr}\n\t" \
    "ldmia   r1, {r3-r6}\n\t"      \
    "adds    r1, #8\n\t"           \
    "smlad   r10, r3, r7, r10\n\t" \
    "smlatb  r12, r3, r7, r12\n\t" \
    "smlad   r11, r4, r7, r11\n\t" \
    "smlatb  lr, r4, r7, lr\n\t"   \
    "smlad   r10, r4, r8, r10\n\t" \
    "smlatb  r12, r4, r8, r12\n\t" \
    "smlad   r11, r5, r8, r11\n\t" \
    "smlatb  lr, r5, r8, lr\n\t"   \
    "smlad   r10, r5, r9, r10\n\t" \
    "smlatb  r12, r5, r9, r12\n\t" \
    "smlad   r11, r6, r9, r11\n\t" \
    "smlatb  lr, r6, r9, lr\n\t"   \
    "ldmdb   r0, {r7, r8, r9}\n\t" \
    "ldmia   r2, {r3-r6}\n\t"      \
    "adds    r2, #8\n\t"           \
    "smlabt  r10, r3, r7, r10\n\t" \
    "smlad   r12, r3, r7, r12\n\t" \
    "smlabt  r11, r4, r7, r11\n\t" \
    "smlad   lr, r4, r7, lr\n\t"   \
    "smlabt  r10, r4, r8, r10\n\t" \
    "smlad   r12, r4, r8, r12\n\t" \
    "smlabt  r11, r5, r8, r11\n\t" \
    "smlad   lr, r5, r8, lr\n\t"   \
    "smlabt  r10, r5, r9, r10\n\t" \
    "smlad   r12, r5, r9, r12\n\t" \
    "smlabt  r11, r6, r9, r11\n\t" \
    "smlad   lr, r6, r9, lr\n\t"

/* The last one of an odd number of columns, by two rows: r10, r11. */
#define TWO_SUMS                   \
    "ldmia   r0, {r7-r11}\n\t"     \
    "ldmia   r1, {r3, r4, r5}\n\t" \
    "smlad   r10, r3, r7, r10\n\t" \
    "smlatb  r11, r3, r7, r11\n\t" \
    "smlad   r10, r4, r8, r10\n\t" \
    "smlatb  r11, r4, r8, r11\n\t" \
    "smlad   r10, r5, r9, r10\n\t" \
    "smlatb  r11, r5, r9, r11\n\t" \
    "ldmdb   r0, {r7, r8, r9}\n\t" \
    "ldmia   r2, {r3, r4, r5}\n\t" \
    "smlabt  r10, r3, r7, r10\n\t" \
    "smlad   r11, r3, r7, r11\n\t" \
    "smlabt  r10, r4, r8, r10\n\t" \
    "smlad   r11, r4, r8, r11\n\t" \
    "smlabt  r10, r5, r9, r10\n\t" \
    "smlad   r11, r5, r9, r11\n\t"

/* Strides of 1, two rows. */
static __attribute__((naked, noinline)) void run_rows(const rows *r __attribute__((unused)))
{
    __asm__ volatile(ENTER("r2")
        "1:\n\t"
        BRANCH_IF_SHIFTED("4f")
        "2:\n\t"
        FOUR_SUMS BY_FIXED_FORM("r10", "r11", "r12", "lr")
        STORE("r10", "r11", "r12", "lr", "2b")
        "sub     r8, r1, r8\n\t"
        "cmp     r8, #4\n\t"
        "bne     3f\n\t"
        TWO_SUMS
        "ldrd    r3, r4, [r0, #-24]\n\t"
        MULTIPLIED("r10") MULTIPLIED("r11") FIXED("r10") FIXED("r11")
        "ldmia   sp, {r3, r4, r5}\n\t"
        "strb    r11, [r3, r5]\n\t"
        "strb    r10, [r3]\n"
        "3:\n\t"
        NEXT_CHANNEL("r2", "1b")
        "4:\n\t"
        FOUR_SUMS BY_SHIFTED_FORM("r10", "r11", "r12", "lr")
        STORE("r10", "r11", "r12", "lr", "4b")
        "sub     r8, r1, r8\n\t"
        "cmp     r8, #4\n\t"
        "bne     3b\n\t"
        TWO_SUMS BY_SHIFTED_FORM("r10", "r11", "r12", "lr") /* of which two are read */
        "ldmia   sp, {r3, r4, r5}\n\t"
        "strb    r11, [r3, r5]\n\t"
        "strb    r10, [r3]\n\t"
        "b       3b\n");
}

/* Four columns of the upper row, of nine: r10, r11, lr, r9. */
#define FOUR_COLUMNS               \
    "ldmia   r0, {r6-r9}\n\t"      \
    "ldmia   r1!, {r2-r5}\n\t"     \
    "smlad   r10, r2, r6, r9\n\t"  \
    "smlad   r10, r3, r7, r10\n\t" \
    "smlad   r10, r4, r8, r10\n\t" \
    "smlad   r11, r4, r6, r9\n\t"  \
    "smlad   r11, r5, r7, r11\n\t" \
    "ldmia   r1!, {r2-r5}\n\t"     \
    "smlad   r11, r2, r8, r11\n\t" \
    "smlad   lr, r2, r6, r9\n\t"   \
    "smlad   lr, r3, r7, lr\n\t"   \
    "smlad   lr, r4, r8, lr\n\t"   \
    "smlad   r9, r4, r6, r9\n\t"   \
    "smlad   r9, r5, r7, r9\n\t"   \
    "ldr     r2, [r1]\n\t"         \
    "smlad   r9, r2, r8, r9\n\t"   \
    "ldmdb   r0, {r6, r7, r8}\n\t" \
    "ldmia   r12!, {r2-r5}\n\t"    \
    "smlabt  r10, r2, r6, r10\n\t" \
    "smlabt  r10, r3, r7, r10\n\t" \
    "smlabt  r10, r4, r8, r10\n\t" \
    "smlabt  r11, r4, r6, r11\n\t" \
    "smlabt  r11, r5, r7, r11\n\t" \
    "ldmia   r12!, {r2-r5}\n\t"    \
    "smlabt  r11, r2, r8, r11\n\t" \
    "smlabt  lr, r2, r6, lr\n\t"   \
    "smlabt  lr, r3, r7, lr\n\t"   \
    "smlabt  lr, r4, r8, lr\n\t"   \
    "smlabt  r9, r4, r6, r9\n\t"   \
    "smlabt  r9, r5, r7, r9\n\t"   \
    "ldr     r2, [r12]\n\t"        \
    "smlabt  r9, r2, r8, r9\n\t"

/* Fewer than four columns are left: back, so that four are. Overshoot is in r8. */
#define STEP_BACK(again, done)   \
    "sub     r8, r1, r8\n\t"     \
    "cmp     r8, #32\n\t"        \
    "bge     " done "\n\t"       \
    "sub     r1, r1, r8\n\t"     \
    "sub     r12, r12, r8\n\t"   \
    "lsr     r8, r8, #3\n\t"     \
    "mls     r3, r8, r4, r3\n\t" \
    "str     r3, [sp]\n\t"       \
    "b       " again "\n\t"

/* Strides of 2, one row. */
static __attribute__((naked, noinline)) void run_row_2(const rows *r __attribute__((unused)))
{
    __asm__ volatile(ENTER("r12")
        "1:\n\t"
        BRANCH_IF_SHIFTED("4f")
        "2:\n\t"
        FOUR_COLUMNS BY_FIXED_FORM("r10", "r11", "lr", "r9")
        STORE("r10", "r11", "lr", "r9", "2b")
        STEP_BACK("2b", "3f")
        "3:\n\t"
        NEXT_CHANNEL("r12", "1b")
        "4:\n\t"
        FOUR_COLUMNS BY_SHIFTED_FORM("r10", "r11", "lr", "r9")
        STORE("r10", "r11", "lr", "r9", "4b")
        STEP_BACK("4b", "3b"));
}

#else

/* The upper row's result at a place of a channel's planes. */
static inline int8_t upper_result(const channel_constants *k, const uint32_t *upper,
                                  const uint32_t *lower)
{
    uint32_t sum = (uint32_t)k->bias[0];
    for (int32_t tap = 0; tap < 3; ++tap) {
        sum = tidepool_smlad(upper[tap], k->w01[tap], sum);
        sum = tidepool_smlabb(lower[tap], k->w12[tap] >> 16, sum);
    }
    return tidepool_form(sum, k->record);
}

/* The lower row's. */
static inline int8_t lower_result(const channel_constants *k, const uint32_t *upper,
                                  const uint32_t *lower)
{
    uint32_t sum = (uint32_t)k->bias[0];
    for (int32_t tap = 0; tap < 3; ++tap) {
        sum = tidepool_smlabb(upper[tap] >> 16, k->w01[tap], sum);
        sum = tidepool_smlad(lower[tap], k->w12[tap], sum);
    }
    return tidepool_form(sum, k->record);
}

static inline void run_rows(const rows *r)
{
    for (int32_t c = 0; c < CHANNELS; ++c) {
        const channel_constants *k = r->constants + c;
        const uint32_t *upper = r->upper + c * (r->pitch / 4);
        const uint32_t *lower = r->lower + c * (r->pitch / 4);
        int8_t *output = r->output + c;
        for (int32_t left = (r->last + PASS_1) / 4; left > 0; --left) {
            output[r->steps[1]] = lower_result(k, upper, lower);
            *output = upper_result(k, upper, lower);
            output += r->steps[0];
            ++upper;
            ++lower;
        }
    }
}

static inline void run_row_2(const rows *r)
{
    for (int32_t c = 0; c < CHANNELS; ++c) {
        const channel_constants *k = r->constants + c;
        const uint32_t *upper = r->upper + c * (r->pitch / 4);
        const uint32_t *lower = r->lower + c * (r->pitch / 4);
        int8_t *output = r->output + c;
        for (int32_t left = (r->last + PASS_2) / 8; left > 0; --left) {
            *output = upper_result(k, upper, lower);
            output += r->steps[0];
            upper += 2;
            lower += 2;
        }
    }
}

#endif

#endif /* TIDEPOOL_DSP_ROWS_H */
