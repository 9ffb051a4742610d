/* Planes of a depthwise convolution for the DSP extension: two inputs of a channel in a word.
 *
 * Four channels at a time, each with a plane of its own: a word holds, as halves, the values of one
 * column in two rows of the input, or those of two columns. */
#ifndef TIDEPOOL_DSP_PLANES_H
#define TIDEPOOL_DSP_PLANES_H

#include "tidepool_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_DSP_CHANNELS 4 /* a word's bytes */

/* Two words of four bytes, a and b, as four words of halves: (a0, b0), (a1, b1), and so on. */
static inline void tidepool_interleave(uint32_t a, uint32_t b, uint32_t halves[TIDEPOOL_DSP_CHANNELS])
{
    const uint32_t channels_01 = tidepool_low_halves(a, b);
    const uint32_t channels_23 = tidepool_high_halves(a, b);
    halves[0] = tidepool_sxtb16(channels_01);
    halves[1] = tidepool_sxtb16_odd(channels_01);
    halves[2] = tidepool_sxtb16(channels_23);
    halves[3] = tidepool_sxtb16_odd(channels_23);
}

/* Two rows of four channels. One that lies in the padding repeats one word: its step is 0. */
typedef struct {
    const int8_t *above;
    const int8_t *below;
    int32_t step_above; /* to the next column */
    int32_t step_below;
    int32_t columns;
    uint32_t *plane; /* of the first channel */
    int32_t pitch;   /* bytes to the next channel's */
} tidepool_dsp_row_pair;

#if TIDEPOOL_HAS_DSP

/* tidepool_interleave() of the words in r0 and r7, stored to the planes. */
#define STORE_HALVES                     \
    "pkhbt   r12, r0, r7, lsl #16\n\t"   \
    "pkhtb   r7, r7, r0, asr #16\n\t"    \
    "sxtb16  r0, r12\n\t"                \
    "str     r0, [r6], #4\n\t"           \
    "sxtb16  r0, r12, ror #8\n\t"        \
    "str     r0, [r8], #4\n\t"           \
    "sxtb16  r0, r7\n\t"                 \
    "str     r0, [r9], #4\n\t"           \
    "sxtb16  r0, r7, ror #8\n\t"         \
    "str     r0, [r10], #4\n\t"

/* Packs them into the channels' planes, two columns a step. */
static __attribute__((naked, noinline)) void tidepool_dsp_pack(
    const tidepool_dsp_row_pair *r __attribute__((unused)))
{
    __asm__ volatile(
        ".syntax unified\n\t"
        "push    {r4-r10, lr}\n\t"
        "ldmia   r0, {r1-r7}\n\t"
        "add     r8, r6, r7\n\t"
        "add     r9, r8, r7\n\t"
        "add     r10, r9, r7\n\t"
        "subs    r5, #1\n\t"
        "ble     2f\n"
        "1:\n\t"
        "ldr     r0, [r1]\n\t"
        "ldr     r7, [r2]\n\t" STORE_HALVES
        "ldr     r0, [r1, r3]\n\t"
        "ldr     r7, [r2, r4]\n\t" STORE_HALVES
        "add     r1, r1, r3, lsl #1\n\t"
        "add     r2, r2, r4, lsl #1\n\t"
        "subs    r5, #2\n\t"
        "bgt     1b\n"
        "2:\n\t" /* 0 if one is left */
        "bne     3f\n\t"
        "ldr     r0, [r1]\n\t"
        "ldr     r7, [r2]\n\t" STORE_HALVES
        "3:\n\t"
        "pop     {r4-r10, pc}\n");
}

#undef STORE_HALVES

#else

static inline void tidepool_dsp_pack(const tidepool_dsp_row_pair *r)
{
    for (int32_t x = 0; x < r->columns; ++x) {
        uint32_t halves[TIDEPOOL_DSP_CHANNELS];
        tidepool_interleave(tidepool_load_word(r->above + x * r->step_above),
                   tidepool_load_word(r->below + x * r->step_below), halves);
        for (int32_t c = 0; c < TIDEPOOL_DSP_CHANNELS; ++c) {
            r->plane[c * (r->pitch / 4) + x] = halves[c];
        }
    }
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_DSP_PLANES_H */
