/* Convolutions and dense layers for cores with the vector extension for integers (Helium). */
#ifndef TIDEPOOL_MVE_H
#define TIDEPOOL_MVE_H

#include "tidepool_arithmetic.h"
#include "tidepool_images.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Kernels of level "mve" eat weights that were packed ahead of time, 16 taps of one output channel a
 * vector; taps that are missing in the last vector have the weight 0, so that it does not matter
 * what is read for them. The bias has the input's zero point folded in. Sums are modulo 2^32.
 *
 * Requantization is that of the reference, with shifts of 0 or less (to the right). `ties` says
 * whether results below the zero point occur: only for those halves are rounded away from zero. */

/* CONV_2D and FULLY_CONNECTED of several rows, one group.
 *   depth        filter_height * filter_width * input_channels, up to the next multiple of 16
 *   pixels       windows of a row that are copied at a time, an even number; 0: the filter has one
 *                pixel, there is no padding, and windows are read where they lie. Strides are then
 *                1, and the output as large as the input; or input_channels = depth
 *   strip_bytes  of the copies of `pixels` windows, and 16 more
 *   stream       for every four channels: their bias, for each 16 taps a vector of each of the
 *                four, their multipliers, their shifts. For each channel behind them: its bias, its
 *                vectors, multiplier, shift. Taps are ordered [filter_width][filter_height][channel]
 * Scratch: if pixels is 0, 2 * depth bytes where depth is not input_channels, else none, and two
 * pixels are read while their outputs are written. Otherwise a pixel, in vectors, and strip_bytes,
 * twice if output_width is odd; `pixels` windows are read, then their outputs written. */
typedef struct {
    tidepool_window window;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t ties;
    int32_t depth;
    int32_t pixels;
    int32_t strip_bytes;
    const int32_t *stream;
} tidepool_conv_2d_mve_params;

void tidepool_conv_2d_mve(const tidepool_conv_2d_mve_params *params, const int8_t *input,
                          int8_t *output, uint8_t *scratch);

/* The same with weights of four bits.
 *   stream       as above, but bytes of weights are 16 A + B for a tap of two channels, and their
 *                starts 16 times the bias of A + that of B, then 16 times that of B. Channels behind
 *                the last four come by twos, if need be with a last one of zeros: starts, vectors,
 *                multipliers, shifts
 * Sums must fit 28 bits. */
void tidepool_conv_2d_int4_mve(const tidepool_conv_2d_mve_params *params, const int8_t *input,
                               int8_t *output, uint8_t *scratch);

/* As tidepool_transpose_conv. */
typedef struct {
    tidepool_conv_2d_mve_params convolution;
    tidepool_transposed to;
} tidepool_transpose_conv_mve_params;

void tidepool_transpose_conv_mve(const tidepool_transpose_conv_mve_params *params,
                                 const int8_t *input, int8_t *output, uint8_t *scratch);

/* FULLY_CONNECTED of one row.
 *   stream       for every eight channels: their bias, and for each 16 taps a vector of each of the
 *                eight. The last eight are filled up with zeros.
 *   records      for every eight channels: the multipliers of channels 0, 2, 4, 6, then of 1, 3, 5,
 *                7, their shifts likewise
 *   record_words 16; or 0 where all channels have the same, in a single record */
typedef struct {
    int32_t input_depth;
    int32_t output_depth;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t ties;
    int32_t record_words;
    const int32_t *stream;
    const int32_t *records;
} tidepool_fully_connected_mve_params;

void tidepool_fully_connected_mve(const tidepool_fully_connected_mve_params *params,
                                  const int8_t *input, int8_t *output);

/* The same with weights of four bits, whose stream has bytes and starts of two channels as above. */
void tidepool_fully_connected_int4_mve(const tidepool_fully_connected_mve_params *params,
                                       const int8_t *input, int8_t *output);

/* DEPTHWISE_CONV_2D of 3x3 with depth multiplier 1, strides of 1 or 2, dilations of 1; with strides of 1
 * the output has two columns at least.
 *   band         planes of the input (two rows each) whose results are computed at a time: two rows
 *                of the output for strides of 1, one for strides of 2
 *   records      for each channel: bias, multiplier, shift, and a vector of weights, whose byte 2x +
 *                y is that of row y in column x for rows 0 and 1, and byte 8 + 2x that of row 2
 *   output_min, output_max  applied behind a clamp to int8
 * Scratch: 16 * columns bytes for each of band + 1 planes, with columns = (width - 1) * stride + 4 of
 * the output's width, of 2 at least for strides of 1 and 4 for strides of 2; and 8 bytes for each
 * tile of a band, which is 2x2 results, or 4 of a row for strides of 2. May work in place. */
typedef struct {
    tidepool_window window;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t ties;
    int32_t band;
    const int32_t *records;
} tidepool_depthwise_3x3_mve_params;

void tidepool_depthwise_3x3_mve(const tidepool_depthwise_3x3_mve_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch);

/* DEPTHWISE_CONV_2D of any window, stride, dilation and depth multiplier.
 *   vectors        of 16 weights of a channel, at most 16
 *   rows_of_plane  rows of the input from one plane to the next: the largest number that divides
 *                  stride_height and, if the filter has three rows or more, 2 * dilation_height
 *   band           rows of the output that are computed at a time
 *   records        for each output channel: bias, multiplier, shift, and its vectors. They hold the
 *                  filter's rows by twos: column by column a weight of the upper one, then one of the
 *                  lower one; or, of a filter of one row, the weights in their order. The missing ones
 *                  are 0
 *   output_min, output_max  applied behind a clamp to int8
 * Scratch: planes of 16 * columns bytes, with columns = (max(output_width, 4) - 1) * stride_width + 1
 * and (filter_width - 1) * dilation_width more, or ((filter_width + 1) / 2 - 1) * 2 * dilation_width for
 * a filter of one row. So many planes:
 *     ((band - 1) * stride_height + ((filter_height + 1) / 2 - 1) * 2 * dilation_height)
 *     / rows_of_plane + 1
 * and 8 bytes for every four results of each row of a band. Less than 64 KB in all. May work in place if the
 * depth multiplier is 1, the output no larger than the input in any direction, and
 * pad_top at most ((filter_height + 1) / 2 - 1) * 2 * dilation_height. */
typedef struct {
    tidepool_window window;
    int32_t depth_multiplier;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t ties;
    int32_t vectors;
    int32_t rows_of_plane;
    int32_t band;
    const int32_t *records;
} tidepool_depthwise_conv_2d_mve_params;

void tidepool_depthwise_conv_2d_mve(const tidepool_depthwise_conv_2d_mve_params *params,
                                    const int8_t *input, int8_t *output, uint8_t *scratch);

#define TIDEPOOL_MVE_BYTES 16 /* of a vector */

#if !TIDEPOOL_HAS_MVE
/* sum + the products of a vector of inputs and one of weights. */
static inline uint32_t tidepool_mve_products(uint32_t sum, const int8_t *x, const int8_t *weights)
{
    for (int32_t i = 0; i < TIDEPOOL_MVE_BYTES; ++i) {
        sum += (uint32_t)(x[i] * weights[i]);
    }
    return sum;
}

/* VQRDMULH, the correction of ties, VRSHL, VQMOVN to 16 bits, VQADD, VMAX, VMIN. shift <= 0. */
static inline int8_t tidepool_mve_result(uint32_t sum, int32_t multiplier, int32_t shift,
                                         int32_t ties, int32_t zero_point, int32_t low,
                                         int32_t high)
{
    const int32_t product = tidepool_high_mul((int32_t)sum, multiplier);
    const int64_t away = (ties != 0 && product < 0 && shift < 0) ? 1 : 0;
    const int64_t half = (shift < 0) ? INT64_C(1) << (-shift - 1) : 0;
    const int32_t wide = (int32_t)tidepool_asr(product - away + half, -shift);
    const int32_t narrow = tidepool_clamp(wide, INT16_MIN, INT16_MAX);
    return (int8_t)tidepool_clamp(narrow + zero_point, low, high);
}
#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_MVE_H */
