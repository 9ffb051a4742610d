/* CONV_2D, int8, one group, for cores with the DSP extension.
 *
 * Three output pixels at a time: their windows are widened into columns of 16-bit halves, the three
 * pixels interleaved word by word; then each pair of output channels is one pass over the columns,
 * two instructions less than seven for twelve multiply-accumulates. Pairs whose results take the
 * fixed form come first, so that no pass asks which form is its own. */
#include "tidepool_dsp_blocks.h"

_Static_assert(TIDEPOOL_FIXED_SHIFT == 4, "run_fixed has it in its instructions");

#define STEP 68 /* bytes of FOUR_TAPS */

#if TIDEPOOL_HAS_DSP

/* Four taps of three pixels for a pair of channels: 24 multiply-accumulates in 17 instructions of 4
 * bytes. r0 stream, r1 columns; r8 to r10 are the sums R, r11, r12, lr the sums B. */
#define FOUR_TAPS                          \
    "ldrd     r6, r7, [r0], #8\n\t"        \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"       \
    "smlad    r8, r3, r6, r8\n\t"          \
    "smlad    r9, r4, r6, r9\n\t"          \
    "smlad    r10, r5, r6, r10\n\t"        \
    "sxtb16   r6, r6\n\t"                  \
    "smlad    r11, r3, r6, r11\n\t"        \
    "smlad    r12, r4, r6, r12\n\t"        \
    "smlad    lr, r5, r6, lr\n\t"          \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"       \
    "smlad    r8, r3, r7, r8\n\t"          \
    "smlad    r9, r4, r7, r9\n\t"          \
    "smlad    r10, r5, r7, r10\n\t"        \
    "sxtb16   r7, r7\n\t"                  \
    "smlad    r11, r3, r7, r11\n\t"        \
    "smlad    r12, r4, r7, r12\n\t"        \
    "smlad    lr, r5, r7, lr\n\t"

/* The first four taps, behind whose weights the stream has the start of R and B. */
#define FIRST_FOUR_TAPS                        \
    "ldmia.w  r0!, {r6, r7, r10, lr}\n\t"      \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"           \
    "smlad    r8, r3, r6, r10\n\t"             \
    "smlad    r9, r4, r6, r10\n\t"             \
    "smlad    r10, r5, r6, r10\n\t"            \
    "sxtb16   r6, r6\n\t"                      \
    "smlad    r11, r3, r6, lr\n\t"             \
    "smlad    r12, r4, r6, lr\n\t"             \
    "smlad    lr, r5, r6, lr\n\t"              \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"           \
    "smlad    r8, r3, r7, r8\n\t"              \
    "smlad    r9, r4, r7, r9\n\t"              \
    "smlad    r10, r5, r7, r10\n\t"            \
    "sxtb16   r7, r7\n\t"                      \
    "smlad    r11, r3, r7, r11\n\t"            \
    "smlad    r12, r4, r7, r12\n\t"            \
    "smlad    lr, r5, r7, lr\n\t"

/* The sums of a pair and its record: 256 A in r8 to r10, B in r11, r12, lr; the record in r1 to r6. */
#define SUMS                                                    \
    "1:\n\t"                                                    \
    "ldrd     r1, r2, [sp]\n\t" FIRST_FOUR_TAPS                 \
    "ldr      pc, [sp, #8]\n\t"                                 \
    ".balign 4\n"                                               \
    "2:\n\t" FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS            \
    "subs     r2, r2, #1\n\t"                                   \
    "bne.w    2b\n\t"                                           \
    "sub      r8, r8, r11\n\t"                                  \
    "sub      r9, r9, r12\n\t"                                  \
    "sub      r10, r10, lr\n\t"                                 \
    "ldmia.w  r0!, {r1-r6}\n\t"

/* All pairs of the fixed form for one block. */
static __attribute__((naked, noinline)) const int32_t *run_fixed(
    const int32_t *stream __attribute__((unused)), const block *b __attribute__((unused)))
{
    __asm__ volatile(ENTER SUMS MULTIPLY_ALL
        "ssat     r8, #8, r8, asr #12\n\t"
        "ssat     r9, #8, r9, asr #12\n\t"
        "ssat     r10, #8, r10, asr #12\n\t"
        "ssat     r11, #8, r11, asr #4\n\t"
        "ssat     r12, #8, r12, asr #4\n\t"
        "ssat     lr, #8, lr, asr #4\n\t"
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
        "asr      r8, r8, r3\n\t"
        "asr      r9, r9, r3\n\t"
        "asr      r10, r10, r3\n\t"
        "asr      r11, r11, r6\n\t"
        "asr      r12, r12, r6\n\t"
        "asr      lr, lr, r6\n\t"
        "ssat     r8, #8, r8\n\t"
        "ssat     r9, #8, r9\n\t"
        "ssat     r10, #8, r10\n\t"
        "ssat     r11, #8, r11\n\t"
        "ssat     r12, #8, r12\n\t"
        "ssat     lr, #8, lr\n\t"
        STORE
        "4:\n\t" /* the form "rounded" */
        "asr      r8, r8, #8\n\t"
        "asr      r9, r9, #8\n\t"
        "asr      r10, r10, #8\n\t"
        ROUNDED("r8", "r1", "r2") ROUNDED("r9", "r1", "r2") ROUNDED("r10", "r1", "r2")
        ROUNDED("r11", "r4", "r5") ROUNDED("r12", "r4", "r5") ROUNDED("lr", "r4", "r5")
        "b        3b\n");
}

#else

static const int32_t *run_pairs(const int32_t *stream, const block *b)
{
    const int32_t quads = 1 + 4 * b->quads.loops - (b->quads.skip - 1) / STEP;
    do {
        uint32_t r[PIXELS];
        uint32_t low[PIXELS];
        for (int32_t p = 0; p < PIXELS; ++p) {
            r[p] = (uint32_t)stream[2];
            low[p] = (uint32_t)stream[3];
        }
        for (int32_t word = 0; word < 2 * quads; ++word) {
            const uint32_t weights = (uint32_t)stream[(word < 2) ? word : word + 2];
            for (int32_t p = 0; p < PIXELS; ++p) {
                const uint32_t x = b->columns[PIXELS * word + p];
                r[p] = tidepool_smlad(x, weights, r[p]);
                low[p] = tidepool_smlad(x, tidepool_sxtb16(weights), low[p]);
            }
        }
        stream += 2 * quads + 2;
        tidepool_store_pair(r[0], low[0], stream, b->output);
        tidepool_store_pair(r[1], low[1], stream, b->output + b->step_1);
        tidepool_store_pair(r[2], low[2], stream, b->output + b->step_2);
        stream += 6;
    } while (stream != b->end);
    return stream;
}

#define run_fixed run_pairs
#define run_shifted run_pairs

#endif

TIDEPOOL_KERNEL
void tidepool_conv_2d_dsp(const tidepool_conv_2d_dsp_params *params, const int8_t *input,
                          int8_t *output, uint8_t *scratch)
{
    static const sums eight_bits = {STEP, run_fixed, run_shifted};
    run_blocks(params, &eight_bits, input, output, scratch);
}
