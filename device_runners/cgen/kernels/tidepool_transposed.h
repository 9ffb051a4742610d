/* TRANSPOSE_CONV by convolutions.
 *
 * Outputs whose places have the same remainders by the strides get the same taps of the filter: they
 * are a convolution of the input with those taps, by strides of 1. Its rows are computed one at a time
 * into scratch memory, from where their pixels go to their places. */
#ifndef TIDEPOOL_TRANSPOSED_H
#define TIDEPOOL_TRANSPOSED_H

#include "tidepool_arithmetic.h"
#include "tidepool_images.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The window of one row of outputs; `skipped` input rows lie in front of it. */
static inline int32_t tidepool_row_of(tidepool_window *w, int32_t row)
{
    const int32_t origin = row - w->pad_top;
    const int32_t skipped = tidepool_clamp(origin, 0, w->input_height - 1);
    w->batches = 1;
    w->output_height = 1;
    w->input_height -= skipped;
    w->pad_top = skipped - origin;
    return skipped;
}

/* Copies a row's pixels, of `size` bytes, to places `step` bytes apart. */
static inline void tidepool_spread(const int8_t *row, int32_t pixels, int32_t size, int8_t *output,
                                   int32_t step)
{
    for (; pixels > 0; --pixels) {
        tidepool_copy_bytes(output, row, size);
        row += size;
        output += step;
    }
}

/* A convolution's row of outputs, of which `window` is the window. */
typedef void tidepool_transposed_row(const void *convolution, const tidepool_window *window,
                              const int8_t *input, int8_t *row, uint8_t *scratch);

/* The outputs of one remainder: `w` is the convolution's window. */
static inline void tidepool_transpose(const void *convolution, const tidepool_window *w,
                                      const tidepool_transposed *to, tidepool_transposed_row *run_row,
                                      const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const int32_t row_bytes = w->input_width * w->input_channels;
    int8_t *const line = (int8_t *)scratch + to->line;
    for (int32_t b = 0; b < w->batches; ++b) {
        int8_t *place = output + b * to->image_step;
        for (int32_t row = 0; row < w->output_height; ++row) {
            tidepool_window one = *w;
            const int32_t skipped = tidepool_row_of(&one, row);
            run_row(convolution, &one, input + skipped * row_bytes, line, scratch);
            tidepool_spread(line, w->output_width, w->output_channels, place, to->pixel_step);
            place += to->row_step;
        }
        input += w->input_height * row_bytes;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_TRANSPOSED_H */
