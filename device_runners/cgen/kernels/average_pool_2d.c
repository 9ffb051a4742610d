/* AVERAGE_POOL_2D, int8. Padding does not count. */
#include "tidepool_windows.h"

TIDEPOOL_KERNEL
void tidepool_average_pool_2d(const tidepool_pool_2d_params *params, const int8_t *input,
                              int8_t *output)
{
    const int32_t channels = params->window.output_channels;
    const int32_t pixels = tidepool_output_pixels(&params->window);
    for (int32_t i = 0; i < pixels; ++i) {
        tidepool_pixels inside = tidepool_pixels_of(&params->window, input, i);
        const int32_t count = inside.rows * inside.columns;
        for (int32_t c = 0; c < channels; c += TIDEPOOL_PIXEL_CHANNELS) {
            const int32_t at_once = tidepool_clamp(channels - c, 1, TIDEPOOL_PIXEL_CHANNELS);
            int32_t sums[TIDEPOOL_PIXEL_CHANNELS];
            tidepool_sum_pixels(&inside, at_once, sums);
            for (int32_t j = 0; j < at_once; ++j) {
                /* To nearest, ties away from zero; C's division truncates. */
                const int32_t half = (sums[j] > 0) ? count / 2 : -(count / 2);
                const int32_t mean = (sums[j] + half) / count;
                *output++ = (int8_t)tidepool_clamp(mean, params->output_min, params->output_max);
            }
            inside.first += at_once;
        }
    }
}
