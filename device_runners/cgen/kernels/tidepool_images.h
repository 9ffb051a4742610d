/* Kernels over images: convolution, pooling, resizing. */
#ifndef TIDEPOOL_IMAGES_H
#define TIDEPOOL_IMAGES_H

#include "tidepool_channels.h"
#include "tidepool_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Geometry of a window that slides over a batch of images; padding reads as "no contribution".
 * The window's origin for output (y, x) is (y * stride_height - pad_top, x * stride_width -
 * pad_left). Rows and columns after the last one need no field: the window is cut off there. */
typedef struct {
    int32_t batches;
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t output_height;
    int32_t output_width;
    int32_t output_channels;
    int32_t filter_height;
    int32_t filter_width;
    int32_t stride_height;
    int32_t stride_width;
    int32_t dilation_height;
    int32_t dilation_width;
    int32_t pad_top;
    int32_t pad_left;
} tidepool_window;

/* CONV_2D. Groups = input_channels / filter_channels, which divides output_channels too.
 *   quads    symmetric weights of four output channels at a time, [group][filters / 4][filter_height]
 *            [filter_width][filter_channels] words of bytes without sign, 128 added to each, the first
 *            channel's lowest; filters = output_channels / groups
 *   rest     those of up to three channels of a group that are left, [group][filters % 4][..]
 *   scratch  two windows, aligned to words, and filled up to whole ones */
typedef struct {
    tidepool_window window;
    int32_t filter_channels;
    int32_t input_zero_point;
    const uint32_t *quads;
    const int8_t *rest;
    tidepool_channels channels;
} tidepool_conv_2d_params;

void tidepool_conv_2d(const tidepool_conv_2d_params *params, const int8_t *input, int8_t *output,
                      uint8_t *scratch);

/* The same with weights of four bits, but for the rest: a word of quads has two taps
 * (tidepool_nibbles.h). */
void tidepool_conv_2d_int4(const tidepool_conv_2d_params *params, const int8_t *input,
                           int8_t *output, uint8_t *scratch);

/* DEPTHWISE_CONV_2D. Output channel c reads input channel c / depth_multiplier;
 * output_channels = input_channels * depth_multiplier.
 *   weights           [output_channels][filter_height][filter_width], symmetric
 *   channels.starts   are for inputs with 128 added
 *   band              output rows whose input rows are in scratch at a time, at least 1
 *   scratch           these input rows of four channels, with the padding at both sides:
 *                     4 * ((band - 1) * stride_height + (filter_height - 1) * dilation_height + 1)
 *                     * ((output_width - 1) * stride_width
 *                        + (filter_width - 1) * dilation_width + 1) bytes */
typedef struct {
    tidepool_window window;
    int32_t depth_multiplier;
    int32_t input_zero_point;
    int32_t band;
    const int8_t *weights;
    tidepool_channels channels;
} tidepool_depthwise_conv_2d_params;

void tidepool_depthwise_conv_2d(const tidepool_depthwise_conv_2d_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch);

/* AVERAGE_POOL_2D and MAX_POOL_2D: same scale and zero point in and out. The window's filter is
 * the pool; dilations are 1 and output_channels = input_channels. Every window meets the image. */
typedef struct {
    tidepool_window window;
    int32_t output_min;
    int32_t output_max;
} tidepool_pool_2d_params;

void tidepool_average_pool_2d(const tidepool_pool_2d_params *params, const int8_t *input,
                              int8_t *output);
void tidepool_max_pool_2d(const tidepool_pool_2d_params *params, const int8_t *input,
                          int8_t *output);

/* Where the outputs of one remainder by the strides of a TRANSPOSE_CONV go, in bytes. */
typedef struct {
    int32_t image_step; /* of the output */
    int32_t row_step;
    int32_t pixel_step;
    int32_t line; /* scratch memory of a row, behind the convolution's */
} tidepool_transposed;

/* TRANSPOSE_CONV, one call for each remainder of the output's places by the strides: what gets the
 * same taps of the filter is a convolution.
 *   scratch  the convolution's, and a row of its outputs */
typedef struct {
    tidepool_conv_2d_params convolution;
    tidepool_transposed to;
} tidepool_transpose_conv_params;

void tidepool_transpose_conv(const tidepool_transpose_conv_params *params, const int8_t *input,
                             int8_t *output, uint8_t *scratch);

/* RESIZE_BILINEAR: same scale and zero point in and out.
 *   rows         [output_height][3]: offsets of the row above and of the row below, in elements,
 *                and the distance from the row above in 1/1024 of a row
 *   columns      [output_width][3]: likewise */
typedef struct {
    int32_t batches;
    int32_t input_size; /* elements of one image */
    int32_t channels;
    int32_t output_height;
    int32_t output_width;
    const int32_t *rows;
    const int32_t *columns;
} tidepool_resize_bilinear_params;

void tidepool_resize_bilinear(const tidepool_resize_bilinear_params *params, const int8_t *input,
                              int8_t *output);

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_IMAGES_H */
