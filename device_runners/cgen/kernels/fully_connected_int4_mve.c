/* FULLY_CONNECTED of one row, int8 with weights of four bits, for cores with the vector extension.
 *
 * As fully_connected_mve.c, but a byte of weights is 16 A + B for a tap of two channels. Vectors go into
 * VMLADAVA as they are, which gives the sum of 16 A + B, and shifted to the left by 4, which gives 16 B:
 * as many instructions as for weights of 8 bits. */
#include "tidepool_mve.h"

#define WEIGHT_WORDS 16

#if TIDEPOOL_HAS_MVE

#define TWO_CHANNELS(sum_0, sum_1)                \
    "vldrb.u8     q1, [r5], #16\n\t"              \
    "vshl.i8      q2, q1, #4\n\t"                 \
    "vmladava.s8  " sum_0 ", q0, q1\n\t"          \
    "vmladava.s8  " sum_1 ", q0, q2\n\t"

#define UNPACK_SUMS               \
    "vshr.s32 q1, q1, #4\n\t"     \
    "vsub.i32 q0, q0, q1\n\t"     \
    "vshr.s32 q0, q0, #4\n\t"

#else

static void two_channels(uint32_t *sums, const int8_t *x, const int8_t *weights)
{
    for (int32_t i = 0; i < TIDEPOOL_MVE_BYTES; ++i) {
        const uint8_t shifted = (uint8_t)((uint8_t)weights[i] << 4);
        sums[0] += (uint32_t)(x[i] * weights[i]);
        sums[1] += (uint32_t)(x[i] * (int8_t)shifted);
    }
}

static void unpack_sums(uint32_t *sums)
{
    sums[1] = (uint32_t)tidepool_asr((int32_t)sums[1], 4);
    sums[0] = (uint32_t)tidepool_asr((int32_t)(sums[0] - sums[1]), 4);
}

#endif

#include "tidepool_mve_row.h"

TIDEPOOL_KERNEL
void tidepool_fully_connected_int4_mve(const tidepool_fully_connected_mve_params *params,
                                       const int8_t *input, int8_t *output)
{
    run_dense(params, input, output);
}
