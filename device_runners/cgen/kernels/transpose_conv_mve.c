/* TRANSPOSE_CONV, int8, for cores with the vector extension: the outputs of one remainder by the strides. */
#include "tidepool_mve.h"
#include "tidepool_transposed.h"

static void run_row(const void *convolution, const tidepool_window *window, const int8_t *input,
                    int8_t *row, uint8_t *scratch)
{
    tidepool_conv_2d_mve_params one = *(const tidepool_conv_2d_mve_params *)convolution;
    one.window = *window;
    tidepool_conv_2d_mve(&one, input, row, scratch);
}

TIDEPOOL_KERNEL
void tidepool_transpose_conv_mve(const tidepool_transpose_conv_mve_params *params,
                                 const int8_t *input, int8_t *output, uint8_t *scratch)
{
    tidepool_transpose(&params->convolution, &params->convolution.window, &params->to, run_row,
                       input, output, scratch);
}
