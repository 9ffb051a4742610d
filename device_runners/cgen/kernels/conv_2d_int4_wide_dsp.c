/* CONV_2D, int8 with weights of four bits, one group, for cores with the DSP extension: deep layers,
 * whose sums may be too large for conv_2d_int4_dsp.c.
 *
 * Weights are taken out as bytes, in whose upper bits they are: sums are scaled by 16. */
#define SCALE_BITS 4
#define STEP 88

#define SET_UP

/* 24 multiply-accumulates in 22 instructions of 4 bytes, the load included. */
#define TAPS(a0, a1, a2, b0, b1, b2)               \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"               \
    "and      r7, r6, #0xF0F0F0F0\n\t"             \
    "lsl.w    r6, r6, #4\n\t"                      \
    "and      r6, r6, #0xF0F0F0F0\n\t"             \
    "sxtb16   r2, r6\n\t"                          \
    "smlad    r8, r3, r2, " a0 "\n\t"              \
    "smlad    r9, r4, r2, " a1 "\n\t"              \
    "smlad    r10, r5, r2, " a2 "\n\t"             \
    "sxtb16   r2, r7\n\t"                          \
    "smlad    r11, r3, r2, " b0 "\n\t"             \
    "smlad    r12, r4, r2, " b1 "\n\t"             \
    "smlad    lr, r5, r2, " b2 "\n\t"              \
    "ldmia.w  r1!, {r3, r4, r5}\n\t"               \
    "sxtb16   r2, r6, ror #8\n\t"                  \
    "smlad    r8, r3, r2, r8\n\t"                  \
    "smlad    r9, r4, r2, r9\n\t"                  \
    "smlad    r10, r5, r2, r10\n\t"                \
    "sxtb16   r2, r7, ror #8\n\t"                  \
    "smlad    r11, r3, r2, r11\n\t"                \
    "smlad    r12, r4, r2, r12\n\t"                \
    "smlad    lr, r5, r2, lr\n\t"

#include "tidepool_dsp_nibbles.h"

TIDEPOOL_KERNEL
void tidepool_conv_2d_int4_wide_dsp(const tidepool_conv_2d_dsp_params *params, const int8_t *input,
                                    int8_t *output, uint8_t *scratch)
{
    static const sums four_bits = {STEP, run_fixed, run_shifted};
    run_blocks(params, &four_bits, input, output, scratch);
}
