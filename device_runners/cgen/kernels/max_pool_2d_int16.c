/* MAX_POOL_2D, int16. */
#include "tidepool_arithmetic.h"
#include "tidepool_16x8.h"

/* One channel over `height` by `width` pixels. */
static int32_t max_of(const int16_t *channel, int32_t height, int32_t width, int32_t row_pitch,
                      int32_t channels)
{
    int32_t max = INT16_MIN;
    for (int32_t y = 0; y < height; ++y) {
        const int16_t *pixel = channel + y * row_pitch;
        for (int32_t x = width; x > 0; --x) {
            max = (*pixel > max) ? *pixel : max;
            pixel += channels;
        }
    }
    return max;
}

TIDEPOOL_KERNEL
void tidepool_max_pool_2d_int16(const tidepool_pool_2d_params *params, const int16_t *input,
                                int16_t *output)
{
    const tidepool_window *w = &params->window;
    const int32_t row_pitch = w->input_width * w->input_channels;

    for (int32_t b = 0; b < w->batches; ++b) {
        for (int32_t y = 0; y < w->output_height; ++y) {
            const int32_t origin_y = y * w->stride_height - w->pad_top;
            const int32_t top = (origin_y > 0) ? origin_y : 0;
            const int32_t height =
                tidepool_clamp(origin_y + w->filter_height, 0, w->input_height) - top;
            for (int32_t x = 0; x < w->output_width; ++x) {
                const int32_t origin_x = x * w->stride_width - w->pad_left;
                const int32_t left = (origin_x > 0) ? origin_x : 0;
                const int32_t width =
                    tidepool_clamp(origin_x + w->filter_width, 0, w->input_width) - left;
                const int16_t *first = input + top * row_pitch + left * w->input_channels;
                for (int32_t c = 0; c < w->input_channels; ++c) {
                    const int32_t max =
                        max_of(first + c, height, width, row_pitch, w->input_channels);
                    *output++ =
                        (int16_t)tidepool_clamp(max, params->output_min, params->output_max);
                }
            }
        }
        input += w->input_height * row_pitch;
    }
}
