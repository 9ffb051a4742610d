/* MAX_POOL_2D, int8. */
#include "tidepool_arithmetic.h"
#include "tidepool_images.h"

/* The maximum of one channel over the part of a window that lies in the image. */
static int32_t window_max(const tidepool_window *w, const int8_t *channel, int32_t origin_y,
                          int32_t origin_x)
{
    int32_t max = INT8_MIN;
    for (int32_t fy = 0; fy < w->filter_height; ++fy) {
        const int32_t y = origin_y + fy;
        if (y < 0 || y >= w->input_height) {
            continue;
        }
        for (int32_t fx = 0; fx < w->filter_width; ++fx) {
            const int32_t x = origin_x + fx;
            if (x < 0 || x >= w->input_width) {
                continue;
            }
            const int32_t value = channel[(y * w->input_width + x) * w->input_channels];
            max = (value > max) ? value : max;
        }
    }
    return max;
}

TIDEPOOL_KERNEL
void tidepool_max_pool_2d(const tidepool_pool_2d_params *params, const int8_t *input,
                          int8_t *output)
{
    const tidepool_window *w = &params->window;
    const int32_t image_size = w->input_height * w->input_width * w->input_channels;

    for (int32_t b = 0; b < w->batches; ++b) {
        const int8_t *image = input + b * image_size;
        for (int32_t y = 0; y < w->output_height; ++y) {
            const int32_t origin_y = y * w->stride_height - w->pad_top;
            for (int32_t x = 0; x < w->output_width; ++x) {
                const int32_t origin_x = x * w->stride_width - w->pad_left;
                for (int32_t c = 0; c < w->output_channels; ++c) {
                    const int32_t value = window_max(w, image + c, origin_y, origin_x);
                    *output++ =
                        (int8_t)tidepool_clamp(value, params->output_min, params->output_max);
                }
            }
        }
    }
}
