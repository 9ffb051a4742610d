/* CONV_2D, int8 with weights of four bits: any window, stride, dilation and number of groups.
 *
 * As conv_2d.c, but weights are nibbles (tidepool_nibbles.h). */
#include "tidepool_nibbles.h"
#include "tidepool_window_pairs.h"

TIDEPOOL_KERNEL
void tidepool_conv_2d_int4(const tidepool_conv_2d_params *params, const int8_t *input,
                           int8_t *output, uint8_t *scratch)
{
    static const tidepool_rows_kind four_bits = {TIDEPOOL_NIBBLES_ZERO_POINT, TIDEPOOL_NIBBLES_TAPS,
                                        tidepool_rows_by_nibbles};
    tidepool_run_windows(params, &four_bits, input, output, scratch);
}
