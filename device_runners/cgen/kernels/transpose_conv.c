/* TRANSPOSE_CONV, int8, any core: the outputs of one remainder by the strides. */
#include "tidepool_images.h"
#include "tidepool_transposed.h"

TIDEPOOL_KERNEL
void tidepool_transpose_conv(const tidepool_transpose_conv_params *params,
                             const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *const w = &params->convolution.window;
    const tidepool_transposed *const to = &params->to;
    const int32_t row_bytes = w->input_width * w->input_channels;
    int8_t *const line = (int8_t *)scratch + to->line;
    for (int32_t b = 0; b < w->batches; ++b) {
        int8_t *place = output + b * to->image_step;
        for (int32_t row = 0; row < w->output_height; ++row) {
            tidepool_conv_2d_params one = params->convolution;
            const int32_t skipped = tidepool_row_of(&one.window, row);
            tidepool_conv_2d(&one, input + skipped * row_bytes, line, scratch);
            tidepool_spread(line, w->output_width, w->output_channels, place, to->pixel_step);
            place += to->row_step;
        }
        input += w->input_height * row_bytes;
    }
}
