/* MAX_POOL_2D, int8. */
#include "tidepool_windows.h"

TIDEPOOL_KERNEL
void tidepool_max_pool_2d(const tidepool_pool_2d_params *params, const int8_t *input,
                          int8_t *output)
{
    const int32_t channels = params->window.output_channels;
    const int32_t pixels = tidepool_output_pixels(&params->window);
    for (int32_t i = 0; i < pixels; ++i) {
        tidepool_pixels inside = tidepool_pixels_of(&params->window, input, i);
        for (int32_t c = 0; c < channels; c += TIDEPOOL_PIXEL_CHANNELS) {
            const int32_t at_once = tidepool_clamp(channels - c, 1, TIDEPOOL_PIXEL_CHANNELS);
            int8_t maxima[TIDEPOOL_PIXEL_CHANNELS];
            tidepool_max_pixels(&inside, at_once, maxima);
            tidepool_clamp_all(maxima, at_once, params->output_min, params->output_max);
            for (int32_t j = 0; j < at_once; ++j) {
                *output++ = maxima[j];
            }
            inside.first += at_once;
        }
    }
}
