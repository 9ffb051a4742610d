/* The loops of depthwise_windows_dsp.c: a row of results of four channels, four results a pass.
 *
 * A plane's columns lie by their remainder modulo the stride, so that the words of one tap for results
 * side by side do, too. A pass reads four of them for a tap and its weights, one SMLAD each; of three or
 * five taps whose words are next to each other, six or eight words. */
#ifndef TIDEPOOL_DSP_WINDOWS_H
#define TIDEPOOL_DSP_WINDOWS_H

#include "tidepool_dsp_planes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_DSP_PASS 4       /* results */
#define TIDEPOOL_DSP_REMAINDERS 4 /* modulo the stride, at most */

/* A channel's constants are words:
 *     the bias, four times;
 *     for runs of five, three and one taps, in that order: where the words of a run's first tap are in
 *     the plane (in bytes, from behind those of the run before, or from that of the result), the weights of its taps;
 *     multiplier, addend, last.
 * Weights are halves, as the words of the planes. */
#define TIDEPOOL_DSP_KINDS 3 /* of runs */
#define TIDEPOOL_DSP_START 4
#define TIDEPOOL_DSP_RECORD 3

/* What the instructions get, and change on the stack; the comments say where it lies there. */
typedef struct {
    int8_t *output;
    int32_t steps[3]; /* 4: to the second, third and fourth result of a pass; 0 drops it */
    int32_t advance;  /* 16: to the next pass */
    int32_t left;     /* 20: results */
    const uint32_t *plane;
    const uint32_t *constants;        /* 28 */
    int32_t runs[TIDEPOOL_DSP_KINDS]; /* 32: how many of five, three and one */
    int8_t *first_output; /* 44: of the channel, as output */
    const uint32_t *first_word; /* as plane */
    int32_t pitch;        /* 52: bytes from a channel's plane to the next one's */
    int32_t width;        /* of a row, as left */
    int32_t channels;     /* 60: left, four to begin with */
    int32_t constant_bytes;
    int32_t output_step;  /* 68: to the next channel's results */
} tidepool_dsp_row;

#if TIDEPOOL_HAS_DSP

#define OF_FOUR(what) what("r4") what("r5") what("r6") what("r7")
#define MULTIPLIED(x) "smmla   " x ", " x ", r2, r3\n\t"
#define FIXED(x) "ssat    " x ", #8, " x ", asr #4\n\t"
#define SHIFTED(x) "asr     " x ", " x ", r8\n\t"
#define CLAMPED(x) "ssat    " x ", #8, " x "\n\t"
/* (round(x m) + addend - [x < 0]) before the shift */
#define ROUNDED(x)                        \
    "add     r9, r3, " x ", asr #31\n\t"  \
    "smmlar  " x ", " x ", r2, " x "\n\t" \
    "add     " x ", " x ", r9\n\t"

#define ONE_TAP                    \
    "ldmia   r0!, {r2, r3}\n\t"    \
    "add     r1, r1, r2\n\t"       \
    "ldmia   r1!, {r8-r11}\n\t"     \
    "smlad   r4, r8, r3, r4\n\t"   \
    "smlad   r5, r9, r3, r5\n\t"   \
    "smlad   r6, r10, r3, r6\n\t"  \
    "smlad   r7, r11, r3, r7\n\t"

#define THREE_TAPS                  \
    "ldmia   r0!, {r2, r8-r10}\n\t" \
    "add     r1, r1, r2\n\t"        \
    "ldmia   r1!, {r3, r11, r12}\n\t" \
    "smlad   r4, r3, r8, r4\n\t"    \
    "smlad   r5, r11, r8, r5\n\t"   \
    "smlad   r4, r11, r9, r4\n\t"   \
    "smlad   r6, r12, r8, r6\n\t"   \
    "smlad   r5, r12, r9, r5\n\t"   \
    "smlad   r4, r12, r10, r4\n\t"  \
    "ldmia   r1!, {r3, r11, r12}\n\t" \
    "smlad   r7, r3, r8, r7\n\t"    \
    "smlad   r6, r3, r9, r6\n\t"    \
    "smlad   r5, r3, r10, r5\n\t"   \
    "smlad   r7, r11, r9, r7\n\t"   \
    "smlad   r6, r11, r10, r6\n\t"  \
    "smlad   r7, r12, r10, r7\n\t"

#define FIVE_TAPS                   \
    "ldmia   r0!, {r2, r8-r12}\n\t" \
    "add     r1, r1, r2\n\t"        \
    "ldmia   r1!, {r2, r3}\n\t"     \
    "smlad   r4, r2, r8, r4\n\t"    \
    "smlad   r5, r3, r8, r5\n\t"    \
    "smlad   r4, r3, r9, r4\n\t"    \
    "ldmia   r1!, {r2, r3}\n\t"     \
    "smlad   r6, r2, r8, r6\n\t"    \
    "smlad   r5, r2, r9, r5\n\t"    \
    "smlad   r4, r2, r10, r4\n\t"   \
    "smlad   r7, r3, r8, r7\n\t"    \
    "smlad   r6, r3, r9, r6\n\t"    \
    "smlad   r5, r3, r10, r5\n\t"   \
    "smlad   r4, r3, r11, r4\n\t"   \
    "ldmia   r1!, {r2, r3}\n\t"     \
    "smlad   r7, r2, r9, r7\n\t"    \
    "smlad   r6, r2, r10, r6\n\t"   \
    "smlad   r5, r2, r11, r5\n\t"   \
    "smlad   r4, r2, r12, r4\n\t"   \
    "smlad   r7, r3, r10, r7\n\t"   \
    "smlad   r6, r3, r11, r6\n\t"   \
    "smlad   r5, r3, r12, r5\n\t"   \
    "ldmia   r1!, {r2, r3}\n\t"     \
    "smlad   r7, r2, r11, r7\n\t"   \
    "smlad   r6, r2, r12, r6\n\t"   \
    "smlad   r7, r3, r12, r7\n\t"

/* Where a pass goes on: `from` for its next place, unless there are no runs of a kind. */
#define GO_TO(label)                \
    "adr.w   r1, " label "\n\t"     \
    "orr     r1, r1, #1\n\t"

/* A row of four channels. Sums: r4 to r7; r0 constants, r1 plane, lr runs left. Where a pass begins, and
 * where it goes on behind runs of five and of three, is on the stack behind the fields: 72, 76, 80. */
static __attribute__((naked, noinline)) void tidepool_dsp_run_row(
    const tidepool_dsp_row *row __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push    {r4-r11, lr}\n\t"
        "ldr     r2, [r0, #40]\n\t" /* runs of one: */
        GO_TO("6f")                 /* none */
        "cbz     r2, 20f\n\t"
        GO_TO("4f")                 /* an even number */
        "lsls    r2, r2, #31\n\t"
        "bpl     20f\n\t"
        GO_TO("13f")                /* an odd one */
        "20:\n\t"
        "push    {r1, r3}\n\t"
        "ldr     r2, [r0, #36]\n\t"
        "cbz     r2, 21f\n\t"
        GO_TO("3f")
        "21:\n\t"
        "push    {r1}\n\t"
        "ldr     r2, [r0, #32]\n\t"
        "cbz     r2, 22f\n\t"
        GO_TO("2f")
        "22:\n\t"
        "push    {r1}\n\t"
        "add     r12, r0, #48\n\t"
        "ldmia   r12, {r1-r6}\n\t"
        "push    {r1-r6}\n\t"
        "ldmia   r0, {r1-r12}\n\t"
        "push    {r1-r12}\n"
        "1:\n\t"
        "ldrd    r1, r0, [sp, #24]\n\t"
        "ldmia   r0!, {r4-r7}\n\t"
        "ldr     pc, [sp, #72]\n"
        "2:\n\t"
        "ldr     lr, [sp, #32]\n"
        "12:\n\t" FIVE_TAPS
        "subs    lr, #1\n\t"
        "bne     12b\n\t"
        "ldr     pc, [sp, #76]\n"
        "3:\n\t"
        "ldr     lr, [sp, #36]\n"
        "14:\n\t" THREE_TAPS
        "subs    lr, #1\n\t"
        "bne     14b\n\t"
        "ldr     pc, [sp, #80]\n"
        "13:\n\t"
        "ldr     lr, [sp, #40]\n\t"
        "b       5f\n"
        "4:\n\t"
        "ldr     lr, [sp, #40]\n"
        "15:\n\t" ONE_TAP
        "5:\n\t" ONE_TAP
        "subs    lr, #2\n\t"
        "bgt     15b\n"
        "6:\n\t"
        "ldmia   r0, {r2, r3, r8}\n\t"
        "cmp     r8, #0\n\t"
        "blt     9f\n\t" OF_FOUR(MULTIPLIED) OF_FOUR(FIXED)
        "7:\n\t"
        "ldmia   sp, {r0, r2, r3, r8-r11}\n\t"
        "strb    r7, [r0, r8]\n\t"
        "strb    r6, [r0, r3]\n\t"
        "strb    r5, [r0, r2]\n\t"
        "strb    r4, [r0]\n\t"
        "add     r0, r0, r9\n\t"
        "subs    r10, #4\n\t"
        "ble     11f\n\t"
        "add     r11, #16\n\t"
        "str     r0, [sp]\n\t"
        "strd    r10, r11, [sp, #20]\n\t"
        "cmp     r10, #4\n\t"
        "bge     1b\n\t"
        "rsb     r3, r10, #4\n\t" /* fewer than four are left: back to the last four */
        "mls     r0, r3, r2, r0\n\t"
        "sub     r11, r11, r3, lsl #2\n\t"
        "mov     r10, #4\n\t"
        "str     r0, [sp]\n\t"
        "strd    r10, r11, [sp, #20]\n\t"
        "b       1b\n"
        "9:\n\t" /* a shift of its own */
        "lsls    r9, r8, #1\n\t"
        "bmi     10f\n\t" OF_FOUR(MULTIPLIED)
        "b       16f\n"
        "10:\n\t" OF_FOUR(ROUNDED)
        "16:\n\t" OF_FOUR(SHIFTED) OF_FOUR(CLAMPED)
        "b       7b\n"
        "11:\n\t" /* the next channel */
        "add     r0, sp, #44\n\t"
        "ldmia   r0, {r1-r7}\n\t"
        "ldr     r8, [sp, #28]\n\t"
        "add     r1, r1, r7\n\t"
        "add     r2, r2, r3\n\t"
        "add     r8, r8, r6\n\t"
        "strd    r1, r2, [sp, #44]\n\t"
        "str     r1, [sp]\n\t"
        "strd    r4, r2, [sp, #20]\n\t"
        "str     r8, [sp, #28]\n\t"
        "subs    r5, #1\n\t"
        "str     r5, [sp, #60]\n\t"
        "bne     1b\n\t"
        "add     sp, #88\n\t"
        "pop     {r4-r11, pc}\n");
}

#undef OF_FOUR
#undef MULTIPLIED
#undef FIXED
#undef SHIFTED
#undef CLAMPED
#undef ROUNDED
#undef ONE_TAP
#undef THREE_TAPS
#undef FIVE_TAPS
#undef GO_TO

/* Copies words to lower addresses; `bytes` is a multiple of 32. */
static inline void tidepool_dsp_move_down(uint32_t *to, const uint32_t *from, int32_t bytes)
{
    if (bytes > 0) {
        __asm__ volatile("1:\n\t"
                         "ldmia   %1!, {r3-r6, r8-r10, r12}\n\t"
                         "stmia   %0!, {r3-r6, r8-r10, r12}\n\t"
                         "subs    %2, #32\n\t"
                         "bgt     1b"
                         : "+r"(to), "+r"(from), "+r"(bytes)
                         :
                         : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "cc", "memory");
    }
}

#else

/* The result of a window; `word` is that of its result in the plane. */
static inline int8_t tidepool_dsp_window_result(const tidepool_dsp_row *r, const uint32_t *constants,
                                                const uint32_t *word)
{
    uint32_t sum = constants[0];
    const uint32_t *next = constants + TIDEPOOL_DSP_START;
    int32_t place = 0;
    for (int32_t kind = 0; kind < TIDEPOOL_DSP_KINDS; ++kind) {
        const int32_t taps = 5 - 2 * kind;
        for (int32_t run = 0; run < r->runs[kind]; ++run) {
            place += (int32_t)*next++ / 4;
            for (int32_t tap = 0; tap < taps; ++tap) {
                sum = tidepool_smlad(word[place + tap], *next++, sum);
            }
            place += taps - 1 + TIDEPOOL_DSP_PASS;
        }
    }
    int32_t record[TIDEPOOL_DSP_RECORD];
    memcpy(record, next, sizeof record);
    return tidepool_form(sum, record);
}

/* A row of four channels. */
static inline void tidepool_dsp_run_row(const tidepool_dsp_row *r)
{
    const int32_t next_result = r->advance / TIDEPOOL_DSP_PASS;
    for (int32_t c = 0; c < r->channels; ++c) {
        const uint32_t *const constants = r->constants + c * (r->constant_bytes / 4);
        const uint32_t *const plane = r->first_word + c * (r->pitch / 4);
        int8_t *const output = r->first_output + c * r->output_step;
        for (int32_t x = 0; x < r->width; ++x) {
            output[x * next_result] = tidepool_dsp_window_result(r, constants, plane + x);
        }
    }
}

static inline void tidepool_dsp_move_down(uint32_t *to, const uint32_t *from, int32_t bytes)
{
    memmove(to, from, (size_t)bytes);
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_DSP_WINDOWS_H */
