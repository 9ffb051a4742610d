/* TRANSPOSE_CONV, int8, any core: the outputs of one remainder by the strides. */
#include "tidepool_images.h"
#include "tidepool_transposed.h"

static void run_row(const void *convolution, const tidepool_window *window, const int8_t *input,
                    int8_t *row, uint8_t *scratch)
{
    tidepool_conv_2d_params one = *(const tidepool_conv_2d_params *)convolution;
    one.window = *window;
    tidepool_conv_2d(&one, input, row, scratch);
}

TIDEPOOL_KERNEL
void tidepool_transpose_conv(const tidepool_transpose_conv_params *params,
                             const int8_t *input, int8_t *output, uint8_t *scratch)
{
    tidepool_transpose(&params->convolution, &params->convolution.window, &params->to, run_row,
                       input, output, scratch);
}
