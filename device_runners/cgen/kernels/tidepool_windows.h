/* The windows of pools, cut down to what lies in the image. */
#ifndef TIDEPOOL_WINDOWS_H
#define TIDEPOOL_WINDOWS_H

#include "tidepool_images.h"
#include "tidepool_pixels.h"

#ifdef __cplusplus
extern "C" {
#endif

static inline int32_t tidepool_output_pixels(const tidepool_window *w)
{
    return w->batches * w->output_height * w->output_width;
}

/* The part of a window that lies in the image; the output's pixels are numbered through all images. */
static inline tidepool_pixels tidepool_pixels_of(const tidepool_window *w, const int8_t *input,
                                                 int32_t pixel)
{
    const int32_t row_pitch = w->input_width * w->input_channels;
    const int32_t row = pixel / w->output_width;
    const int32_t image = row / w->output_height;
    const int32_t y = (row - image * w->output_height) * w->stride_height - w->pad_top;
    const int32_t x = (pixel - row * w->output_width) * w->stride_width - w->pad_left;
    const int32_t top = (y > 0) ? y : 0;
    const int32_t left = (x > 0) ? x : 0;
    const int32_t bottom = tidepool_clamp(y + w->filter_height, 0, w->input_height);
    const int32_t right = tidepool_clamp(x + w->filter_width, 0, w->input_width);
    const tidepool_pixels inside = {
        input + (image * w->input_height + top) * row_pitch + left * w->input_channels,
        bottom - top, right - left, row_pitch, w->input_channels};
    return inside;
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_WINDOWS_H */
