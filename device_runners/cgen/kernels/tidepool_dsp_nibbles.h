/* Pairs of channels with weights of four bits for conv_2d_int4_dsp.c and conv_2d_int4_wide_dsp.c, which
 * define
 *   SCALE_BITS  sums are scaled by 2 to the power of it
 *   STEP        bytes of the instructions of four taps
 *   TAPS(a0, a1, a2, b0, b1, b2)  those instructions, but for the load of the weights to r6: sums of A
 *               in r8 to r10, of B in r11, r12 and lr; the arguments are what they start from
 *   SET_UP      instructions ahead of a pair */
#ifndef TIDEPOOL_DSP_NIBBLES_H
#define TIDEPOOL_DSP_NIBBLES_H

#include "tidepool_dsp_blocks.h"

#if TIDEPOOL_HAS_DSP

#define FOUR_TAPS "ldr.w    r6, [r0], #4\n\t" TAPS("r8", "r9", "r10", "r11", "r12", "lr")

/* The sums of a pair and its record: A in r8 to r10, B in r11, r12, lr; the record in r1 to r6. */
#define SUMS                                                    \
    "1:\n\t"                                                    \
    "ldr      r1, [sp]\n\t" SET_UP                              \
    "ldmia.w  r0!, {r6, r10, lr}\n\t"                           \
    TAPS("r10", "r10", "r10", "lr", "lr", "lr")                 \
    "ldr      pc, [sp, #8]\n\t"                                 \
    ".balign 4\n"                                               \
    "2:\n\t" FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS            \
    "ldr      r7, [sp, #28]\n\t"                                \
    "cmp      r1, r7\n\t"                                       \
    "bne.w    2b\n\t"                                           \
    "ldmia.w  r0!, {r1-r6}\n\t"

#define SATURATED(x) "ssat     " x ", #8, " x ", asr #" TEXT(SCALE_BITS) "\n\t"
#define SHIFTED(x, shift) "asr      " x ", " x ", " shift "\n\t"
#define TEXT(macro) TEXT_OF(macro)
#define TEXT_OF(macro) #macro

_Static_assert(TIDEPOOL_INT4_FIXED_SHIFT == 0, "run_fixed has it in its instructions");

/* All pairs of the fixed form for one block. */
static __attribute__((naked, noinline)) const int32_t *run_fixed(
    const int32_t *stream __attribute__((unused)), const block *b __attribute__((unused)))
{
    __asm__ volatile(ENTER SUMS MULTIPLY_ALL
        SATURATED("r8") SATURATED("r9") SATURATED("r10")
        SATURATED("r11") SATURATED("r12") SATURATED("lr")
        STORE);
}

/* All pairs of the forms with a shift of their own. */
static __attribute__((naked, noinline)) const int32_t *run_shifted(
    const int32_t *stream __attribute__((unused)), const block *b __attribute__((unused)))
{
    __asm__ volatile(ENTER SUMS
        "lsls     r7, r3, #1\n\t"
        "bic      r3, r3, #0xC0000000\n\t"
        "bmi      4f\n\t"
        MULTIPLY_ALL
        "3:\n\t"
        SHIFTED("r8", "r3") SHIFTED("r9", "r3") SHIFTED("r10", "r3")
        SHIFTED("r11", "r6") SHIFTED("r12", "r6") SHIFTED("lr", "r6")
        "ssat     r8, #8, r8\n\t"
        "ssat     r9, #8, r9\n\t"
        "ssat     r10, #8, r10\n\t"
        "ssat     r11, #8, r11\n\t"
        "ssat     r12, #8, r12\n\t"
        "ssat     lr, #8, lr\n\t"
        STORE
        "4:\n\t" /* the form "rounded" */
        SHIFTED("r8", "#" TEXT(SCALE_BITS)) SHIFTED("r9", "#" TEXT(SCALE_BITS))
        SHIFTED("r10", "#" TEXT(SCALE_BITS)) SHIFTED("r11", "#" TEXT(SCALE_BITS))
        SHIFTED("r12", "#" TEXT(SCALE_BITS)) SHIFTED("lr", "#" TEXT(SCALE_BITS))
        ROUNDED("r8", "r1", "r2") ROUNDED("r9", "r1", "r2") ROUNDED("r10", "r1", "r2")
        ROUNDED("r11", "r4", "r5") ROUNDED("r12", "r4", "r5") ROUNDED("lr", "r4", "r5")
        "b        3b\n");
}

#else

/* Two taps of a word, as halves and scaled: nibbles `index` and `index` + 4. */
static inline uint32_t two_weights(uint32_t word, int32_t index)
{
    const uint32_t tops = (word << (12 - 4 * index)) & 0xF000F000u;
    const uint32_t low = (uint32_t)(tidepool_low_half(tops) >> (12 - SCALE_BITS));
    const uint32_t high = (uint32_t)(tidepool_high_half(tops) >> (12 - SCALE_BITS));
    return tidepool_low_halves(low, high);
}

/* The result of one channel, from its scaled sum. */
static inline void store_result(uint32_t sum, const int32_t *record, uint32_t is_rounded,
                                int8_t *output)
{
    const int32_t whole = (int32_t)tidepool_asr((int32_t)sum, SCALE_BITS);
    const uint32_t position = ((uint32_t)record[2] & 0x3FFFFFFFu) >> 8;
    output[position] = (is_rounded != 0) ? tidepool_rounded_form(whole, record)
                                         : tidepool_floor_form(sum, record);
}

static const int32_t *run_pairs(const int32_t *stream, const block *b)
{
    do {
        uint32_t sums_a[PIXELS];
        uint32_t sums_b[PIXELS];
        for (int32_t p = 0; p < PIXELS; ++p) {
            sums_a[p] = (uint32_t)stream[1];
            sums_b[p] = (uint32_t)stream[2];
        }
        uint32_t weights = (uint32_t)stream[0];
        stream += 3;
        for (const uint32_t *x = b->columns; x != b->columns_end; x += 2 * PIXELS) {
            for (int32_t p = 0; p < PIXELS; ++p) {
                sums_a[p] = tidepool_smlad(x[p], two_weights(weights, 0), sums_a[p]);
                sums_b[p] = tidepool_smlad(x[p], two_weights(weights, 1), sums_b[p]);
                const uint32_t odd = x[PIXELS + p];
                sums_a[p] = tidepool_smlad(odd, two_weights(weights, 2), sums_a[p]);
                sums_b[p] = tidepool_smlad(odd, two_weights(weights, 3), sums_b[p]);
            }
            weights = (uint32_t)*stream++;
        }
        --stream; /* that was the record's first word */
        const int32_t steps[PIXELS] = {0, b->step_1, b->step_2};
        const uint32_t is_rounded = (uint32_t)stream[2] >> 30 & 1u;
        for (int32_t p = 0; p < PIXELS; ++p) {
            store_result(sums_a[p], stream, is_rounded, b->output + steps[p]);
            store_result(sums_b[p], stream + 3, is_rounded, b->output + steps[p]);
        }
        stream += 6;
    } while (stream != b->end);
    return stream;
}

#define run_fixed run_pairs
#define run_shifted run_pairs

#endif

#endif /* TIDEPOOL_DSP_NIBBLES_H */
