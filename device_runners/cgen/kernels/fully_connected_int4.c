/* FULLY_CONNECTED, int8 with weights of four bits, one factor for all output channels or one each.
 *
 * As fully_connected.c, but weights are nibbles (tidepool_nibbles.h). */
#include "tidepool_dense_rows.h"
#include "tidepool_nibbles.h"

static void row_by_eight(const tidepool_row *row, const uint32_t *words, int32_t taps,
                         const int32_t *starts, int32_t *sums)
{
    tidepool_row_by_nibbles(row, words, taps, starts, TIDEPOOL_EIGHT, sums);
}

static void row_by_four(const tidepool_row *row, const uint32_t *words, int32_t taps,
                        const int32_t *starts, int32_t *sums)
{
    tidepool_row_by_nibbles(row, words, taps, starts, TIDEPOOL_FOUR, sums);
}

TIDEPOOL_KERNEL
void tidepool_fully_connected_int4(const tidepool_fully_connected_params *params,
                                   const int8_t *input, int8_t *output)
{
    static const tidepool_row_kind four_bits = {TIDEPOOL_NIBBLES_ZERO_POINT, TIDEPOOL_NIBBLES_TAPS,
                                        row_by_eight, row_by_four};
    tidepool_run_dense(params, &four_bits, input, output);
}
