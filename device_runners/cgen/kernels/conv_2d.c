/* CONV_2D, int8: any window, stride, dilation and number of groups.
 *
 * Two windows at a time are copied to scratch memory, where padding is the input's zero point; then
 * they are multiplied with four output channels at a time. */
#include "tidepool_window_pairs.h"

TIDEPOOL_KERNEL
void tidepool_conv_2d(const tidepool_conv_2d_params *params, const int8_t *input, int8_t *output,
                      uint8_t *scratch)
{
    static const tidepool_rows_kind eight_bits = {TIDEPOOL_QUADS_ZERO_POINT, 1, tidepool_rows_by_four};
    tidepool_run_windows(params, &eight_bits, input, output, scratch);
}
