/* Kernels for int16 activations, with int8 weights ("16x8").
 *
 * int16 tensors have the zero point 0: real value = scale * q. output_min and output_max hold the
 * fused activation, in [-32768, 32767]. Tensors lie at even addresses.
 *
 * Sums of products are requantized with one rounding, ties towards positive infinity. There are two
 * kernels for each op: one for layers whose sums, bias included, fit in 32 bits on all their way,
 * whatever the inputs are (round(sum * multiplier / 2^32), multiplier >= 0), and a "wide" one for
 * others (round(sum * multiplier / 2^shift), multiplier in [0, 32767], shift in [8, 46], |sum| < 2^47).
 * The code generator works it out from the weights. Results fit in 32 bits before they are clamped.
 */
#ifndef TIDEPOOL_16X8_H
#define TIDEPOOL_16X8_H

#include "tidepool_elementwise.h"
#include "tidepool_images.h"
#include "tidepool_kernels.h"
#include "tidepool_reductions.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CONV_2D. Groups = input_channels / filter_channels, which divides output_channels too.
 *   weights      [output_channels][filter_height][filter_width][filter_channels], symmetric
 *   bias, multipliers, shifts  [output_channels] */
typedef struct {
    tidepool_window window;
    int32_t filter_channels;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
} tidepool_conv_2d_int16_params;

typedef struct {
    tidepool_window window;
    int32_t filter_channels;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;
    const int64_t *bias;
    const int16_t *multipliers;
    const int8_t *shifts;
} tidepool_conv_2d_int16_wide_params;

void tidepool_conv_2d_int16(const tidepool_conv_2d_int16_params *params, const int16_t *input,
                            int16_t *output);
void tidepool_conv_2d_int16_wide(const tidepool_conv_2d_int16_wide_params *params,
                                 const int16_t *input, int16_t *output);

/* DEPTHWISE_CONV_2D. Output channel c reads input channel c / depth_multiplier. For the wide kernel a
 * row of a filter has at most 511 taps.
 *   weights      [filter_height][filter_width][output_channels], symmetric
 *   bias, multipliers, shifts  [output_channels] */
typedef struct {
    tidepool_window window;
    int32_t depth_multiplier;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
} tidepool_depthwise_conv_2d_int16_params;

typedef struct {
    tidepool_window window;
    int32_t depth_multiplier;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;
    const int64_t *bias;
    const int16_t *multipliers;
    const int8_t *shifts;
} tidepool_depthwise_conv_2d_int16_wide_params;

void tidepool_depthwise_conv_2d_int16(const tidepool_depthwise_conv_2d_int16_params *params,
                                      const int16_t *input, int16_t *output);
void tidepool_depthwise_conv_2d_int16_wide(
    const tidepool_depthwise_conv_2d_int16_wide_params *params, const int16_t *input, int16_t *output);

/* FULLY_CONNECTED: output[b][c] = sum over d of input[b][d] * (weights[c][d] - weights_zero_point).
 *   weights      [output_depth][input_depth]; their zero point is 0 but for the wide kernel
 *   bias         [output_depth]
 *   multipliers, shifts  [output_depth] if per_channel is 1, else [1] (per_channel is 0) */
typedef struct {
    int32_t batches;
    int32_t input_depth;
    int32_t output_depth;
    int32_t output_min;
    int32_t output_max;
    int32_t per_channel;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
} tidepool_fully_connected_int16_params;

typedef struct {
    int32_t batches;
    int32_t input_depth;
    int32_t output_depth;
    int32_t weights_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t per_channel;
    const int8_t *weights;
    const int64_t *bias;
    const int16_t *multipliers;
    const int8_t *shifts;
} tidepool_fully_connected_int16_wide_params;

void tidepool_fully_connected_int16(const tidepool_fully_connected_int16_params *params,
                                    const int16_t *input, int16_t *output);
void tidepool_fully_connected_int16_wide(const tidepool_fully_connected_int16_wide_params *params,
                                         const int16_t *input, int16_t *output);

/* TRANSPOSE_CONV, as for int8; sums of 64 bits, as of the wide kernels.
 *   weights      [output_channels][filter_height][filter_width][input_channels], symmetric
 *   bias, multipliers, shifts  [output_channels] */
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
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;
    const int64_t *bias;
    const int16_t *multipliers;
    const int8_t *shifts;
} tidepool_transpose_conv_int16_params;

void tidepool_transpose_conv_int16(const tidepool_transpose_conv_int16_params *params,
                                   const int16_t *input, int16_t *output);

/* AVERAGE_POOL_2D and MAX_POOL_2D: as for int8; the window has at most 32,768 pixels. */
void tidepool_average_pool_2d_int16(const tidepool_pool_2d_params *params, const int16_t *input,
                                    int16_t *output);
void tidepool_max_pool_2d_int16(const tidepool_pool_2d_params *params, const int16_t *input,
                                int16_t *output);

/* RESIZE_BILINEAR: as for int8. */
void tidepool_resize_bilinear_int16(const tidepool_resize_bilinear_params *params,
                                    const int16_t *input, int16_t *output);

/* ADD (sign 1) and SUB (sign -1). Each operand is shifted left by 15 and brought to a common scale
 * (twice the larger one), the sum or difference to the output's. All shifts are <= 0.
 * In place: with an operand of the output's shape. */
typedef struct {
    tidepool_broadcast broadcast;
    int32_t sign;
    int32_t multiplier_1;
    int32_t shift_1;
    int32_t multiplier_2;
    int32_t shift_2;
    int32_t output_multiplier;
    int32_t output_shift;
    int32_t output_min;
    int32_t output_max;
} tidepool_add_int16_params;

void tidepool_add_int16(const tidepool_add_int16_params *params, const int16_t *input_1,
                        const int16_t *input_2, int16_t *output);

/* ADD of operands of one shape whose scales are powers of two: each is divided by 2^shift (ties
 * away from zero; one of the shifts is 0, none above 15), the sum saturated and clamped.
 * In place: with either operand. */
typedef struct {
    int32_t count;
    int32_t shift_1;
    int32_t shift_2;
    int32_t output_min;
    int32_t output_max;
} tidepool_add_powers_int16_params;

void tidepool_add_powers_int16(const tidepool_add_powers_int16_params *params,
                               const int16_t *input_1, const int16_t *input_2, int16_t *output);

/* MUL. factor = scale 1 * scale 2 / output scale; shift <= 0.
 * In place: with an operand of the output's shape. */
typedef struct {
    tidepool_broadcast broadcast;
    int32_t multiplier;
    int32_t shift;
    int32_t output_min;
    int32_t output_max;
} tidepool_mul_int16_params;

void tidepool_mul_int16(const tidepool_mul_int16_params *params, const int16_t *input_1,
                        const int16_t *input_2, int16_t *output);

/* MAXIMUM and MINIMUM: one scale for all. In place: with an operand of the output's shape. */
void tidepool_maximum_int16(const tidepool_selection_params *params, const int16_t *input_1,
                            const int16_t *input_2, int16_t *output);
void tidepool_minimum_int16(const tidepool_selection_params *params, const int16_t *input_1,
                            const int16_t *input_2, int16_t *output);

/* REDUCE_MAX and REDUCE_MIN: same scale in and out. */
void tidepool_reduce_max_int16(const tidepool_reduction *params, const int16_t *input,
                               int16_t *output);
void tidepool_reduce_min_int16(const tidepool_reduction *params, const int16_t *input,
                               int16_t *output);

/* LEAKY_RELU: inputs from 0 times factor 1, others times factor 2; both shifts <= 14. In place. */
typedef struct {
    int32_t count;
    int32_t multiplier_1;
    int32_t shift_1;
    int32_t multiplier_2;
    int32_t shift_2;
} tidepool_leaky_relu_int16_params;

void tidepool_leaky_relu_int16(const tidepool_leaky_relu_int16_params *params,
                               const int16_t *input, int16_t *output);

/* MEAN. The division by the number of reduced elements, at most 65,535, is part of the factor. */
typedef struct {
    tidepool_reduction reduction;
    int32_t multiplier;
    int32_t shift;
} tidepool_mean_int16_params;

void tidepool_mean_int16(const tidepool_mean_int16_params *params, const int16_t *input,
                         int16_t *output);

/* RELU, RELU6 and QUANTIZE: factor = input scale / output scale; shift <= 14.
 * In place; also from int16 to int8, where the output begins. */
typedef struct {
    int32_t count;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point; /* 0 for int16 */
    int32_t output_min;
    int32_t output_max;
} tidepool_rescale_int16_params;

void tidepool_rescale_int16(const tidepool_rescale_int16_params *params, const int16_t *input,
                            int16_t *output);
void tidepool_rescale_int16_to_int8(const tidepool_rescale_int16_params *params,
                                    const int16_t *input, int8_t *output);

/* DEQUANTIZE: output = scale * input, in float. */
typedef struct {
    int32_t count;
    float scale;
} tidepool_dequantize_int16_params;

void tidepool_dequantize_int16(const tidepool_dequantize_int16_params *params,
                               const int16_t *input, float *output);

/* LOGISTIC and TANH, interpolated between the entries of one table; output scale 1/32768. The
 * table's argument is x = (input * multiplier + 2^(shift - 1)) >> shift (no rounding for shift 0),
 * 1/24 being 2^9 for LOGISTIC and 2^8 for TANH. multiplier is in [0, 32767], shift in [0, 31].
 *   table        [256]: 65536 * logistic(i / 24), the last of which counts for all beyond
 * In place. */
typedef struct {
    int32_t count;
    int32_t multiplier;
    int32_t shift;
    const uint16_t *table;
} tidepool_sigmoid_int16_params;

void tidepool_logistic_int16(const tidepool_sigmoid_int16_params *params, const int16_t *input,
                             int16_t *output);
void tidepool_tanh_int16(const tidepool_sigmoid_int16_params *params, const int16_t *input,
                         int16_t *output);

/* SOFTMAX over rows of `depth` values, at most 65,535; output scale 1/32768. (multiplier, shift) is the
 * factor from a difference of inputs to 10/65535.
 *   exponentials [513]: 32768 * exp(x) at 513 places of [-10, 0]
 *   reciprocals  [513]: 32768 / (1 + x) at 513 places of [0, 1]
 * In place. */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t multiplier;
    int32_t shift;
    const int16_t *exponentials;
    const int16_t *reciprocals;
} tidepool_softmax_int16_params;

void tidepool_softmax_int16(const tidepool_softmax_int16_params *params, const int16_t *input,
                            int16_t *output);

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_16X8_H */
