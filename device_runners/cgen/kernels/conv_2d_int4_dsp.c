/* CONV_2D, int8 with weights of four bits, one group, for cores with the DSP extension.
 *
 * As conv_2d_dsp.c, but a word of weights holds four taps of both channels. A mask takes two of them at
 * once out of it, in the uppermost bits of its halves: sums are scaled by 4096. */
#define SCALE_BITS 12
#define STEP 76

#define SET_UP "mov.w    r2, #0xF000F000\n\t"

/* 24 multiply-accumulates in 19 instructions of 4 bytes, the load included. */
#define TAPS(a0, a1, a2, b0, b1, b2)               \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"               \
    "and.w    r7, r2, r6, lsl #12\n\t"             \
    "smlad    r8, r3, r7, " a0 "\n\t"              \
    "smlad    r9, r4, r7, " a1 "\n\t"              \
    "smlad    r10, r5, r7, " a2 "\n\t"             \
    "and.w    r7, r2, r6, lsl #8\n\t"              \
    "smlad    r11, r3, r7, " b0 "\n\t"             \
    "smlad    r12, r4, r7, " b1 "\n\t"             \
    "smlad    lr, r5, r7, " b2 "\n\t"              \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"               \
    "and.w    r7, r2, r6, lsl #4\n\t"              \
    "smlad    r8, r3, r7, r8\n\t"                  \
    "smlad    r9, r4, r7, r9\n\t"                  \
    "smlad    r10, r5, r7, r10\n\t"                \
    "and.w    r7, r2, r6\n\t"                      \
    "smlad    r11, r3, r7, r11\n\t"                \
    "smlad    r12, r4, r7, r12\n\t"                \
    "smlad    lr, r5, r7, lr\n\t"

#include "tidepool_dsp_nibbles.h"

TIDEPOOL_KERNEL
void tidepool_conv_2d_int4_dsp(const tidepool_conv_2d_dsp_params *params, const int8_t *input,
                               int8_t *output, uint8_t *scratch)
{
    static const sums four_bits = {STEP, run_fixed, run_shifted};
    run_blocks(params, &four_bits, input, output, scratch);
}
