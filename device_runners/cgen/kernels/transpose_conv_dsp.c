/* TRANSPOSE_CONV, int8, for cores with the DSP extension: the outputs of one remainder by the strides. */
#include "tidepool_dsp.h"
#include "tidepool_transposed.h"

static void run_row(const void *convolution, const tidepool_window *window, const int8_t *input,
                    int8_t *row, uint8_t *scratch)
{
    tidepool_conv_2d_dsp_params one = *(const tidepool_conv_2d_dsp_params *)convolution;
    one.window = *window;
    tidepool_conv_2d_dsp(&one, input, row, scratch);
}

TIDEPOOL_KERNEL
void tidepool_transpose_conv_dsp(const tidepool_transpose_conv_dsp_params *params,
                                 const int8_t *input, int8_t *output, uint8_t *scratch)
{
    tidepool_transpose(&params->convolution, &params->convolution.window, &params->to, run_row,
                       input, output, scratch);
}
