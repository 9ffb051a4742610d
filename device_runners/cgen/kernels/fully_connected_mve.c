/* FULLY_CONNECTED of one row, int8, for cores with the vector extension.
 *
 * Eight output channels at a time: a vector of the row and one of each channel's weights are loaded,
 * and eight VMLADAVA sum up 128 products in 17 instructions. */
#include "tidepool_mve.h"

#define WEIGHT_WORDS 32

#if TIDEPOOL_HAS_MVE

#define TWO_CHANNELS(sum_0, sum_1)                \
    "vldrb.u8     q1, [r5], #16\n\t"              \
    "vldrb.u8     q2, [r5], #16\n\t"              \
    "vmladava.s8  " sum_0 ", q0, q1\n\t"          \
    "vmladava.s8  " sum_1 ", q0, q2\n\t"

#define UNPACK_SUMS

#else

static void two_channels(uint32_t *sums, const int8_t *x, const int8_t *weights)
{
    sums[0] = tidepool_mve_products(sums[0], x, weights);
    sums[1] = tidepool_mve_products(sums[1], x, weights + TIDEPOOL_MVE_BYTES);
}

static void unpack_sums(uint32_t *sums)
{
    (void)sums;
}

#endif

#include "tidepool_mve_row.h"

TIDEPOOL_KERNEL
void tidepool_fully_connected_mve(const tidepool_fully_connected_mve_params *params,
                                  const int8_t *input, int8_t *output)
{
    run_dense(params, input, output);
}
