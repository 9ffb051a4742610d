/* FULLY_CONNECTED, int8, one factor for all output channels or one for each: a row by eight output
 * channels at a time. */
#include "tidepool_dense_rows.h"

TIDEPOOL_KERNEL
void tidepool_fully_connected(const tidepool_fully_connected_params *params, const int8_t *input,
                              int8_t *output)
{
    static const tidepool_row_kind eight_bits = {TIDEPOOL_QUADS_ZERO_POINT, 1, tidepool_row_by_eight,
                                         tidepool_row_by_four};
    tidepool_run_dense(params, &eight_bits, input, output);
}
