/* Tidepool int8 kernels, portable C11.
 *
 * This file and the tidepool_<kernel>.c beside it are the same, byte for byte, whatever model they
 * were written with. Models in one image may each bring a copy: see "Several models" below.
 *
 * Conventions of every kernel
 *   - Tensors are int8 unless said otherwise, dense, the last dimension innermost (NHWC).
 *       real value = scale * (q - zero_point), zero_point in [-128, 127].
 *   - output_min <= output_max, both in [-128, 127], hold the fused activation.
 *   - Counts and dimensions are at least 1 unless said otherwise.
 *   - `input` and `output` may overlap as far as a kernel's order of reads and writes allows it: it
 *     writes its output from the first element to the last, and an element only after it was last
 *     read. "In place": they may be the same address. The generated code's memory plan is proven to
 *     keep to that; by hand, keep them apart.
 *   - The accumulator fits in 32 bits for every input. The code generator proves it from the
 *     weights of the model and refuses a model for which it does not hold.
 *   - No kernel keeps state, allocates, or fails.
 *
 * A (multiplier, shift) pair stands for the real factor multiplier * 2^(shift - 31), with
 * multiplier 0 or in [2^30, 2^31) and shift in [-31, 30].
 */
#ifndef TIDEPOOL_KERNELS_H
#define TIDEPOOL_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Several models in one image ---------------------------------------------------------- */

/* Weak: of equal kernels that several models bring, the linker keeps one; the copies take no flash
 * where unused sections are dropped (-ffunction-sections, --gc-sections). Only the definition is
 * weak: a reference that is would not load the kernel from an archive. */
#if defined(__GNUC__)
#define TIDEPOOL_KERNEL __attribute__((weak))
#elif defined(__ICCARM__)
#define TIDEPOOL_KERNEL __weak
#else
#define TIDEPOOL_KERNEL
#endif

/* A digest of all kernels' sources. It ends each kernel's name, so that kernels of another version
 * are other functions, and models of different versions fit in one image. */
#define TIDEPOOL_KERNELS_VERSION 0x0 /* the code generator fills this in */

#ifdef TIDEPOOL_TRACE
/* Called by the generated code after each operator, for each of its outputs, and for each graph
 * input before the first operator. `tensor_index` is the tensor's index in the model's file. */
extern void tidepool_trace(uint32_t tensor_index, const void *data, uint32_t bytes);
#endif

/* ---- Convolution ------------------------------------------------------------------------- */

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
 *   weights      [output_channels][filter_height][filter_width][filter_channels], symmetric
 *   bias         [output_channels], or NULL
 *   multipliers  [output_channels], factor = input scale * weight scale / output scale
 *   shifts       [output_channels] */
typedef struct {
    tidepool_window window;
    int32_t filter_channels;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
    const int8_t *shifts;
} tidepool_conv_2d_params;

void tidepool_conv_2d(const tidepool_conv_2d_params *params, const int8_t *input, int8_t *output);

/* DEPTHWISE_CONV_2D. Output channel c reads input channel c / depth_multiplier;
 * output_channels = input_channels * depth_multiplier.
 *   weights      [filter_height][filter_width][output_channels], symmetric
 *   bias, multipliers, shifts as in CONV_2D */
typedef struct {
    tidepool_window window;
    int32_t depth_multiplier;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
    const int8_t *shifts;
} tidepool_depthwise_conv_2d_params;

void tidepool_depthwise_conv_2d(const tidepool_depthwise_conv_2d_params *params,
                                const int8_t *input, int8_t *output);

/* ---- Fully connected --------------------------------------------------------------------- */

/* FULLY_CONNECTED: output[b][c] = sum over d of input[b][d] * weights[c][d].
 *   weights      [output_depth][input_depth], zero point weights_zero_point
 *   bias         [output_depth], or NULL
 *   multipliers, shifts  [output_depth] if per_channel is 1, else [1] (per_channel is 0);
 *                factor = input scale * weight scale / output scale */
typedef struct {
    int32_t batches;
    int32_t input_depth;
    int32_t output_depth;
    int32_t input_zero_point;
    int32_t weights_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t per_channel;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
    const int8_t *shifts;
} tidepool_fully_connected_params;

void tidepool_fully_connected(const tidepool_fully_connected_params *params, const int8_t *input,
                              int8_t *output);

/* ---- Element-wise, two operands ---------------------------------------------------------- */

#define TIDEPOOL_MAX_BROADCAST_DIMENSIONS 6

/* How two operands broadcast to the output: for each dimension, outermost first, its size and the
 * operands' strides in elements (0 where an operand is repeated). Unused dimensions have size 1. */
typedef struct {
    int32_t sizes[TIDEPOOL_MAX_BROADCAST_DIMENSIONS];
    int32_t strides_1[TIDEPOOL_MAX_BROADCAST_DIMENSIONS];
    int32_t strides_2[TIDEPOOL_MAX_BROADCAST_DIMENSIONS];
} tidepool_broadcast;

/* ADD. Each operand is shifted left by 20 and brought to a common scale (twice the larger one),
 * the sum to the output's. All shifts are <= 0.
 * In place: with an operand of the output's shape. */
typedef struct {
    tidepool_broadcast broadcast;
    int32_t zero_point_1;
    int32_t zero_point_2;
    int32_t multiplier_1;
    int32_t shift_1;
    int32_t multiplier_2;
    int32_t shift_2;
    int32_t output_multiplier;
    int32_t output_shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} tidepool_add_params;

void tidepool_add(const tidepool_add_params *params, const int8_t *input_1, const int8_t *input_2,
                  int8_t *output);

/* ADD of two tensors of one shape: (a * factor_1 + b * factor_2 + addend) >> shift, clamped. The code
 * generator has compared it with ADD on all 65,536 pairs of operands.
 * In place: with either operand. */
typedef struct {
    int32_t count;
    int32_t factor_1;
    int32_t factor_2;
    int32_t addend;
    int32_t shift;
    int32_t output_min;
    int32_t output_max;
} tidepool_add_affine_params;

void tidepool_add_affine(const tidepool_add_affine_params *params, const int8_t *input_1,
                         const int8_t *input_2, int8_t *output);

/* MUL. factor = scale 1 * scale 2 / output scale; shift <= 14.
 * In place: with an operand of the output's shape. */
typedef struct {
    tidepool_broadcast broadcast;
    int32_t zero_point_1;
    int32_t zero_point_2;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} tidepool_mul_params;

void tidepool_mul(const tidepool_mul_params *params, const int8_t *input_1, const int8_t *input_2,
                  int8_t *output);

/* ---- Element-wise, one operand ----------------------------------------------------------- */

/* RELU, RELU6, RELU_N1_TO_1 and QUANTIZE (int8 to int8): factor = input scale / output scale; shift <= 22.
 * In place. */
typedef struct {
    int32_t count;
    int32_t input_zero_point;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} tidepool_rescale_params;

void tidepool_rescale(const tidepool_rescale_params *params, const int8_t *input, int8_t *output);

/* LOGISTIC, TANH and the like: output = table[input + 128]. In place. */
typedef struct {
    int32_t count;
    const int8_t *table; /* [256] */
} tidepool_lookup_params;

void tidepool_lookup(const tidepool_lookup_params *params, const int8_t *input, int8_t *output);

/* SOFTMAX over the innermost dimension; output scale 1/256, zero point -128. In place.
 *   exponentials  [exponentials_count]: exp(-d * beta * input scale) for a distance of d to the
 *                 row's maximum, as a fraction of 2^31; past the table it counts as 0
 *   depth         at most 4095 */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t exponentials_count;
    const int32_t *exponentials;
} tidepool_softmax_params;

void tidepool_softmax(const tidepool_softmax_params *params, const int8_t *input, int8_t *output);

/* ---- Pooling and reduction --------------------------------------------------------------- */

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

#define TIDEPOOL_MAX_MEAN_DIMENSIONS 4

/* MEAN. The input's dimensions are split into kept and reduced ones, each outermost first with
 * its size and its stride in elements. Unused ones have size 1. The division by the number of
 * reduced elements is part of the factor. */
typedef struct {
    int32_t kept_sizes[TIDEPOOL_MAX_MEAN_DIMENSIONS];
    int32_t kept_strides[TIDEPOOL_MAX_MEAN_DIMENSIONS];
    int32_t reduced_sizes[TIDEPOOL_MAX_MEAN_DIMENSIONS];
    int32_t reduced_strides[TIDEPOOL_MAX_MEAN_DIMENSIONS];
    int32_t zero_point_sum; /* input zero point * number of reduced elements */
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
} tidepool_mean_params;

void tidepool_mean(const tidepool_mean_params *params, const int8_t *input, int8_t *output);

/* ---- Data movement ----------------------------------------------------------------------- */

#define TIDEPOOL_MAX_PAD_DIMENSIONS 5

/* PAD: every dimension, outermost first, with the number of elements in front of and behind the
 * input. Unused dimensions come first, with size 1. */
typedef struct {
    int32_t sizes[TIDEPOOL_MAX_PAD_DIMENSIONS]; /* the input's */
    int32_t before[TIDEPOOL_MAX_PAD_DIMENSIONS];
    int32_t after[TIDEPOOL_MAX_PAD_DIMENSIONS];
    int32_t value;
} tidepool_pad_params;

void tidepool_pad(const tidepool_pad_params *params, const int8_t *input, int8_t *output);

/* CONCATENATION, one call an operand: copies `rows` pieces of `input_stride` bytes to places that
 * lie `output_stride` bytes apart. RESHAPE of a constant is one row. */
typedef struct {
    int32_t rows;
    int32_t input_stride;
    int32_t output_stride;
} tidepool_copy_params;

void tidepool_copy(const tidepool_copy_params *params, const int8_t *input, int8_t *output);

/* ---- Element-wise, two operands: the others ----------------------------------------------- */

/* SUB and SQUARED_DIFFERENCE. Each operand is shifted left (by 20 and by 7) and brought to a common
 * scale, twice the larger one; the difference, or its square, to the output's. All shifts are <= 0.
 * In place: with an operand of the output's shape. */
typedef struct {
    tidepool_broadcast broadcast;
    int32_t zero_point_1;
    int32_t zero_point_2;
    int32_t multiplier_1;
    int32_t shift_1;
    int32_t multiplier_2;
    int32_t shift_2;
    int32_t output_multiplier;
    int32_t output_shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} tidepool_difference_params;

void tidepool_sub(const tidepool_difference_params *params, const int8_t *input_1,
                  const int8_t *input_2, int8_t *output);
void tidepool_squared_difference(const tidepool_difference_params *params, const int8_t *input_1,
                                 const int8_t *input_2, int8_t *output);

/* MAXIMUM and MINIMUM: one scale and zero point for all.
 * In place: with an operand of the output's shape. */
typedef struct {
    tidepool_broadcast broadcast;
} tidepool_selection_params;

void tidepool_maximum(const tidepool_selection_params *params, const int8_t *input_1,
                      const int8_t *input_2, int8_t *output);
void tidepool_minimum(const tidepool_selection_params *params, const int8_t *input_1,
                      const int8_t *input_2, int8_t *output);

/* PRELU: positive inputs times factor 1 (input scale / output scale), others times the slope and
 * factor 2 (input scale * slope scale / output scale). shift_1 <= 22, shift_2 <= 14.
 * In place: with the input. */
typedef struct {
    tidepool_broadcast broadcast;
    int32_t input_zero_point;
    int32_t slope_zero_point;
    int32_t multiplier_1;
    int32_t shift_1;
    int32_t multiplier_2;
    int32_t shift_2;
    int32_t output_zero_point;
} tidepool_prelu_params;

void tidepool_prelu(const tidepool_prelu_params *params, const int8_t *input, const int8_t *slope,
                    int8_t *output);

/* GREATER, LESS, EQUAL and the like: 1 or 0 for each pair of elements. Each operand is shifted left
 * by 8 and multiplied by its scale; both shifts are <= 0.
 *   if_less, if_equal, if_greater   the results, as operand 1 compares with operand 2
 * In place: with an operand of the output's shape. */
typedef struct {
    tidepool_broadcast broadcast;
    int32_t zero_point_1;
    int32_t zero_point_2;
    int32_t multiplier_1;
    int32_t shift_1;
    int32_t multiplier_2;
    int32_t shift_2;
    int32_t if_less;
    int32_t if_equal;
    int32_t if_greater;
} tidepool_compare_params;

void tidepool_compare(const tidepool_compare_params *params, const int8_t *input_1,
                      const int8_t *input_2, int8_t *output);

/* SELECT and SELECT_V2: of each pair of elements the first one where the condition is not 0. One
 * scale and zero point for all.
 *   sizes        the output's dimensions, outermost first. Unused ones have size 1
 *   strides_*    the operands' strides in elements (0 where an operand is repeated)
 * In place: with an operand of the output's shape. */
typedef struct {
    int32_t sizes[TIDEPOOL_MAX_BROADCAST_DIMENSIONS];
    int32_t strides_condition[TIDEPOOL_MAX_BROADCAST_DIMENSIONS];
    int32_t strides_1[TIDEPOOL_MAX_BROADCAST_DIMENSIONS];
    int32_t strides_2[TIDEPOOL_MAX_BROADCAST_DIMENSIONS];
} tidepool_select_params;

void tidepool_select(const tidepool_select_params *params, const int8_t *condition,
                     const int8_t *input_1, const int8_t *input_2, int8_t *output);

/* ---- Reduction: the others ---------------------------------------------------------------- */

#define TIDEPOOL_MAX_REDUCE_DIMENSIONS 4

/* The input's dimensions, split into kept and reduced ones, each outermost first with its size and
 * its stride in elements. Unused ones have size 1. */
typedef struct {
    int32_t kept_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
    int32_t kept_strides[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
    int32_t reduced_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
    int32_t reduced_strides[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
} tidepool_reduction;

/* SUM. factor = input scale / output scale. */
typedef struct {
    tidepool_reduction reduction;
    int32_t zero_point_sum; /* input zero point * number of reduced elements */
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
} tidepool_sum_params;

void tidepool_sum(const tidepool_sum_params *params, const int8_t *input, int8_t *output);

/* REDUCE_MAX and REDUCE_MIN: same scale and zero point in and out. */
void tidepool_reduce_max(const tidepool_reduction *params, const int8_t *input, int8_t *output);
void tidepool_reduce_min(const tidepool_reduction *params, const int8_t *input, int8_t *output);

/* ARG_MAX and ARG_MIN along the middle one of three dimensions; of equal values the first one.
 * wide: whether the output is int64_t, not int32_t. */
typedef struct {
    int32_t outer;
    int32_t extent;
    int32_t inner;
    int32_t wide;
} tidepool_arg_params;

void tidepool_arg_max(const tidepool_arg_params *params, const int8_t *input, void *output);
void tidepool_arg_min(const tidepool_arg_params *params, const int8_t *input, void *output);

/* L2_NORMALIZATION over the innermost dimension; output scale 1/128, zero point 0. In place.
 *   depth         at most 33025: the sum of squares stays below 2^31 */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t input_zero_point;
} tidepool_l2_normalization_params;

void tidepool_l2_normalization(const tidepool_l2_normalization_params *params,
                               const int8_t *input, int8_t *output);

/* LOG_SOFTMAX over the innermost dimension; output scale 1/16, zero point 127. In place.
 *   differences   [differences_count]: a distance of d to the row's maximum in Q5.26, not positive
 *   exponentials  [differences_count]: exp of it, as a fraction of 2^31
 *   reverse       factor from Q5.26 back to distances; its shift is <= 0
 *   depth         at most 4095 */
typedef struct {
    int32_t rows;
    int32_t depth;
    int32_t differences_count;
    const int32_t *differences;
    const int32_t *exponentials;
    int32_t reverse_multiplier;
    int32_t reverse_shift;
} tidepool_log_softmax_params;

void tidepool_log_softmax(const tidepool_log_softmax_params *params, const int8_t *input,
                          int8_t *output);

/* ---- Products and images: the others ------------------------------------------------------ */

/* BATCH_MATMUL: output[b][i][j] = sum over k of input_1[b1][i][k] * input_2[b2][k][j], in one to
 * three batch dimensions, each operand with its strides in elements (0 where it is repeated).
 * factor = scale 1 * scale 2 / output scale. */
typedef struct {
    int32_t batches[3];
    int32_t batch_strides_1[3];
    int32_t batch_strides_2[3];
    int32_t rows;
    int32_t columns;
    int32_t depth;
    int32_t row_stride_1;
    int32_t depth_stride_1;
    int32_t depth_stride_2;
    int32_t column_stride_2;
    int32_t zero_point_1;
    int32_t zero_point_2;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
} tidepool_batch_matmul_params;

void tidepool_batch_matmul(const tidepool_batch_matmul_params *params, const int8_t *input_1,
                           const int8_t *input_2, int8_t *output);

/* TRANSPOSE_CONV. Output (y, x) collects the taps (r, s) for which y + pad_top - r and x + pad_left
 * - s are multiples of the strides, of pixels inside the input.
 *   weights      [output_channels][filter_height][filter_width][input_channels], symmetric
 *   bias, multipliers, shifts as in CONV_2D */
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
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multipliers;
    const int8_t *shifts;
} tidepool_transpose_conv_params;

void tidepool_transpose_conv(const tidepool_transpose_conv_params *params, const int8_t *input,
                             int8_t *output);

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

/* DEQUANTIZE: output = scale * (input - zero point), in float. */
typedef struct {
    int32_t count;
    int32_t zero_point;
    float scale;
} tidepool_dequantize_params;

void tidepool_dequantize(const tidepool_dequantize_params *params, const int8_t *input,
                         float *output);

/* ---- Data movement: the others ------------------------------------------------------------ */

#define TIDEPOOL_MAX_MOVE_DIMENSIONS 7

/* SLICE, STRIDED_SLICE, SPLIT, UNPACK, TRANSPOSE, TILE and the like: the output is a strided view
 * of the input. Copies runs of `run` elements; the output is dense.
 *   sizes        the output's dimensions, outermost first, in runs. Unused ones have size 1
 *   strides      the input's strides in elements; 0 and negative ones occur
 *   first        the input's element that comes first */
typedef struct {
    int32_t sizes[TIDEPOOL_MAX_MOVE_DIMENSIONS];
    int32_t strides[TIDEPOOL_MAX_MOVE_DIMENSIONS];
    int32_t first;
    int32_t run;
} tidepool_strided_copy_params;

void tidepool_strided_copy(const tidepool_strided_copy_params *params, const int8_t *input,
                           int8_t *output);

/* GATHER by constant indices, MIRROR_PAD and RESIZE_NEAREST_NEIGHBOR: like tidepool_strided_copy,
 * but with the offset of each index of each dimension in a table.
 *   offsets      [sum of the sizes], in elements: the outermost dimension's table comes first */
typedef struct {
    int32_t sizes[TIDEPOOL_MAX_MOVE_DIMENSIONS];
    int32_t run;
    const int32_t *offsets;
} tidepool_take_params;

void tidepool_take(const tidepool_take_params *params, const int8_t *input, int8_t *output);

/* ---- For cores with the DSP extension ----------------------------------------------------- */

/* Kernels of level "dsp" eat weights that were packed ahead of time: a stream of 32-bit words.
 *
 * Output channels come in pairs, A and B. A 16-bit lane of a weight word holds 256 * weight of A +
 * weight of B, and a word two lanes: of the taps 4i and 4i + 2, the next word of 4i + 1 and 4i + 3.
 * Sums are modulo 2^32: R = 256 A + B over the lanes, B over their low bytes; R - B is 256 A, and A
 * fits 24 bits. The start of R and B holds the bias, with the input's zero point folded in.
 *
 * Then a record of six words: multiplier, addend and "last" of A, the same of B. last = shift + 256
 * * position of the channel's result. Form "floor":
 *     result = ssat8((256 A * multiplier + addend * 2^32) >> 32 >> shift), with B for 256 A;
 * form "rounded", if bit 30 of A's last is set, with x for A or B:
 *     result = ssat8((round(x * (multiplier + 2^32) / 2^32) + addend - [x < 0]) >> shift)
 * In convolutions a clear bit 31 of A's last says that the form is "floor" and the shift is
 * TIDEPOOL_FIXED_SHIFT for B and 8 more for A; in dense layers, that the form is "floor".
 * The code generator proves both equal to the reference for every value that occurs. */

#define TIDEPOOL_FIXED_SHIFT 4

/* CONV_2D and FULLY_CONNECTED of several rows, one group.
 *   depth        filter_height * filter_width * input_channels, up to the next multiple of 4
 *   stream       for each pair: start of R and of B, depth / 2 words of weights, the record. Taps
 *                are in the order of the filter's rows, of which each is cut down to a multiple of
 *                4; the rest of all rows comes behind them.
 *   output_min, output_max  applied behind the records' own clamp to int8
 * Scratch: 6 * depth bytes, and 3 * depth more unless every window lies in the image, without a
 * horizontal dilation. Reads three pixels' windows, then writes the three. */
typedef struct {
    tidepool_window window;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t depth;
    int32_t stream_words;
    const int32_t *stream;
} tidepool_conv_2d_dsp_params;

void tidepool_conv_2d_dsp(const tidepool_conv_2d_dsp_params *params, const int8_t *input,
                          int8_t *output, uint8_t *scratch);

/* FULLY_CONNECTED. Groups are of four channels (two pairs), 16 of them a block; inputs come in parts
 * of 128, of which the last one ends with zeros up to a multiple of 8.
 *   stream       for each block: the start (R and B, R and B) of each group, then for each part and
 *                each group: for every four inputs two words of the first pair and two of the
 *                second one
 *   records      two a group; or, if shared_records is 1, two for all groups, with positions from
 *                0 to 3 in the group */
typedef struct {
    int32_t batches;
    int32_t input_depth;
    int32_t output_depth;
    int32_t output_min;
    int32_t output_max;
    int32_t groups;
    int32_t shared_records;
    const int32_t *stream;
    const int32_t *records;
} tidepool_fully_connected_dsp_params;

void tidepool_fully_connected_dsp(const tidepool_fully_connected_dsp_params *params,
                                  const int8_t *input, int8_t *output);

/* DEPTHWISE_CONV_2D of depth multiplier 1 and at least 4 channels, which go by fours.
 *   stream       for each four: the first one's index, the filter's taps as words of four bytes,
 *                and for each of the four its bias (the input's zero point folded in) and its
 *                record of B: multiplier, addend, last as that of A
 * Scratch: filter_height * filter_width * (input_channels + 8) bytes. */
typedef struct {
    tidepool_window window;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t stream_words;
    const int32_t *stream;
} tidepool_depthwise_conv_2d_dsp_params;

void tidepool_depthwise_conv_2d_dsp(const tidepool_depthwise_conv_2d_dsp_params *params,
                                    const int8_t *input, int8_t *output, uint8_t *scratch);

/* The same for a filter of 3x3 with strides of 1 or 2 and dilations of 1. Scratch: 208 + 32 * columns
 * bytes, with columns = max(output_width + 2, 4) for strides of 1 and
 * (output_width + 1) / 2 * 4 + 2 for strides of 2. With a stride of 1 in place, for SAME padding and a multiple of four
 * channels. */
void tidepool_depthwise_3x3_dsp(const tidepool_depthwise_conv_2d_dsp_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch);

/* ---- Fixed-point arithmetic, shared by the kernels ---------------------------------------- */

/* floor(x / 2^n), 0 <= n < 64. C leaves the right shift of a negative number to the compiler; GCC
 * and Clang document it as arithmetic on every target. This is the only place that relies on it. */
static inline int64_t tidepool_asr(int64_t x, int32_t n)
{
    return x >> n;
}

/* round(a * b / 2^31), ties towards positive infinity. a and b are not both -2^31. */
static inline int32_t tidepool_high_mul(int32_t a, int32_t b)
{
    return (int32_t)tidepool_asr((int64_t)a * b + (INT64_C(1) << 30), 31);
}

/* round(x / 2^n), ties away from zero, 0 <= n <= 62. */
static inline int32_t tidepool_rounding_shift(int32_t x, int32_t n)
{
    const int64_t half = (n > 0) ? (INT64_C(1) << (n - 1)) : 0;
    const int64_t away = (n > 0 && x < 0) ? 1 : 0;
    return (int32_t)tidepool_asr((int64_t)x + half - away, n);
}

/* x times the factor (multiplier, shift), rounded twice: after the multiplication and after the
 * right shift. |x| * 2^shift < 2^31 if shift is positive. */
static inline int32_t tidepool_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = (shift > 0) ? shift : 0;
    const int32_t right = (shift > 0) ? 0 : -shift;
    return tidepool_rounding_shift(tidepool_high_mul(x * (INT32_C(1) << left), multiplier), right);
}

static inline int32_t tidepool_clamp(int32_t x, int32_t low, int32_t high)
{
    const int32_t raised = (x < low) ? low : x;
    return (raised > high) ? high : raised;
}

/* The place of both operands in a broadcast, moved on to the next row of the innermost dimension:
 * an odometer. */
typedef struct {
    int32_t index[TIDEPOOL_MAX_BROADCAST_DIMENSIONS];
    int32_t offset_1;
    int32_t offset_2;
} tidepool_broadcast_place;

/* Returns 0 after the last row. */
static inline int32_t tidepool_next_row(const tidepool_broadcast *s, tidepool_broadcast_place *p)
{
    for (int32_t d = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 2; d >= 0; --d) {
        p->offset_1 += s->strides_1[d];
        p->offset_2 += s->strides_2[d];
        if (++p->index[d] < s->sizes[d]) {
            return 1;
        }
        p->offset_1 -= s->strides_1[d] * s->sizes[d];
        p->offset_2 -= s->strides_2[d] * s->sizes[d];
        p->index[d] = 0;
    }
    return 0;
}

/* Moves `index` on by one place in a block of `sizes`, the last dimension first. Returns the new
 * place's offset in elements, or -1 after the last place. */
static inline int32_t tidepool_next_index(int32_t *index, const int32_t *sizes,
                                          const int32_t *strides)
{
    for (int32_t d = TIDEPOOL_MAX_REDUCE_DIMENSIONS - 1; d >= 0; --d) {
        if (++index[d] < sizes[d]) {
            int32_t offset = 0;
            for (int32_t i = 0; i < TIDEPOOL_MAX_REDUCE_DIMENSIONS; ++i) {
                offset += index[i] * strides[i];
            }
            return offset;
        }
        index[d] = 0;
    }
    return -1;
}

/* ---- Instructions of the DSP extension, and what they compute ------------------------------ */

/* 1 where the kernels of level "dsp" use the instructions; elsewhere they are portable C. */
#if defined(__GNUC__) && defined(__thumb2__) && defined(__ARM_FEATURE_DSP)
#define TIDEPOOL_HAS_DSP 1
#else
#define TIDEPOOL_HAS_DSP 0
#endif

/* Four bytes, the first one lowest (little-endian cores). */
static inline uint32_t tidepool_load_word(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline int32_t tidepool_low_half(uint32_t x)
{
    return (int16_t)(uint16_t)(x & 0xFFFFu);
}

static inline int32_t tidepool_high_half(uint32_t x)
{
    return (int16_t)(uint16_t)(x >> 16);
}

/* SXTB16: bytes 0 and 2 as two signed halves. */
static inline uint32_t tidepool_sxtb16(uint32_t x)
{
#if TIDEPOOL_HAS_DSP
    return (uint32_t)__sxtb16((int8x4_t)x);
#else
    const uint32_t low = (uint32_t)(int32_t)(int8_t)(uint8_t)(x & 0xFFu) & 0xFFFFu;
    const uint32_t high = (uint32_t)(int32_t)(int8_t)(uint8_t)((x >> 16) & 0xFFu);
    return low | high << 16;
#endif
}

/* SXTB16 with ROR #8: bytes 1 and 3. */
static inline uint32_t tidepool_sxtb16_odd(uint32_t x)
{
#if TIDEPOOL_HAS_DSP
    uint32_t result; /* <arm_acle.h> leaves the rotation to the compiler, which doesn't fold it in */
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(x));
    return result;
#else
    return tidepool_sxtb16(x >> 8 | x << 24);
#endif
}

/* PKHBT with LSL #16: the low halves of a and b. */
static inline uint32_t tidepool_low_halves(uint32_t a, uint32_t b)
{
#if TIDEPOOL_HAS_DSP
    uint32_t result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return (a & 0xFFFFu) | b << 16;
#endif
}

/* PKHTB with ASR #16: the high halves of a and b. */
static inline uint32_t tidepool_high_halves(uint32_t a, uint32_t b)
{
#if TIDEPOOL_HAS_DSP
    uint32_t result;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(b), "r"(a));
    return result;
#else
    return a >> 16 | (b & 0xFFFF0000u);
#endif
}

/* SMLAD, modulo 2^32. */
static inline uint32_t tidepool_smlad(uint32_t x, uint32_t y, uint32_t sum)
{
#if TIDEPOOL_HAS_DSP
    return (uint32_t)__smlad((int16x2_t)x, (int16x2_t)y, (int32_t)sum);
#else
    return sum + (uint32_t)(tidepool_low_half(x) * tidepool_low_half(y)) +
           (uint32_t)(tidepool_high_half(x) * tidepool_high_half(y));
#endif
}

/* SMLABB and SMLATT, modulo 2^32. */
static inline uint32_t tidepool_smlabb(uint32_t x, uint32_t y, uint32_t sum)
{
#if TIDEPOOL_HAS_DSP
    return (uint32_t)__smlabb((int32_t)x, (int32_t)y, (int32_t)sum);
#else
    return sum + (uint32_t)(tidepool_low_half(x) * tidepool_low_half(y));
#endif
}

static inline uint32_t tidepool_smlatt(uint32_t x, uint32_t y, uint32_t sum)
{
#if TIDEPOOL_HAS_DSP
    return (uint32_t)__smlatt((int32_t)x, (int32_t)y, (int32_t)sum);
#else
    return sum + (uint32_t)(tidepool_high_half(x) * tidepool_high_half(y));
#endif
}

/* floor(x / 2^n), clamped to int8; 0 <= n < 32. */
static inline int8_t tidepool_saturate(int32_t x, int32_t n)
{
#if defined(__GNUC__) && defined(__ARM_FEATURE_SAT)
    int32_t result; /* __ssat of <arm_acle.h> doesn't pass -Wconversion */
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x >> n));
    return (int8_t)result;
#else
    return (int8_t)tidepool_clamp((int32_t)tidepool_asr(x, n), INT8_MIN, INT8_MAX);
#endif
}

/* The result of one channel of a pair, in the form "floor"; x is 256 A or B. */
static inline int8_t tidepool_floor_form(uint32_t x, const int32_t *record)
{
    const int32_t shift = record[2] & 0xFF;
#if TIDEPOOL_HAS_DSP
    int32_t high; /* <arm_acle.h> has no SMMLA */
    __asm__("smmla %0, %1, %2, %3" : "=r"(high) : "r"(x), "r"(record[0]), "r"(record[1]));
    return tidepool_saturate(high, shift);
#else
    const int64_t product =
        (int64_t)(int32_t)x * record[0] + (int64_t)record[1] * (INT64_C(1) << 32);
    return (int8_t)tidepool_clamp((int32_t)tidepool_asr(product, 32 + shift), INT8_MIN, INT8_MAX);
#endif
}

/* The same in the form "rounded"; x is A or B. */
static inline int8_t tidepool_rounded_form(int32_t x, const int32_t *record)
{
    const int32_t shift = record[2] & 0xFF;
#if TIDEPOOL_HAS_DSP
    int32_t high;
    __asm__("smmlar %0, %1, %2, %1" : "=r"(high) : "r"(x), "r"(record[0]));
    return tidepool_saturate(high + (record[1] + (x >> 31)), shift);
#else
    const int64_t factor = (int64_t)record[0] + (INT64_C(1) << 32);
    const int64_t high = tidepool_asr(x * factor + (INT64_C(1) << 31), 32);
    const int64_t sum = high + record[1] - ((x < 0) ? 1 : 0);
    return (int8_t)tidepool_clamp((int32_t)tidepool_asr(sum, shift), INT8_MIN, INT8_MAX);
#endif
}

static inline int8_t tidepool_form(uint32_t x, const int32_t *record)
{
    const uint32_t is_rounded = (uint32_t)record[2] >> 30 & 1u;
    return (is_rounded != 0) ? tidepool_rounded_form((int32_t)x, record)
                             : tidepool_floor_form(x, record);
}

/* Copies or fills bytes by words where it can: the C library's functions are small, not fast. */
static inline void tidepool_copy_bytes(int8_t *to, const int8_t *from, int32_t count)
{
    for (; count >= 4; count -= 4) {
        memcpy(to, from, 4);
        to += 4;
        from += 4;
    }
    for (; count > 0; --count) {
        *to++ = *from++;
    }
}

static inline void tidepool_fill_bytes(int8_t *to, int32_t value, int32_t count)
{
    const uint32_t word = ((uint32_t)value & 0xFFu) * 0x01010101u;
    for (; count >= 4; count -= 4) {
        memcpy(to, &word, 4);
        to += 4;
    }
    for (; count > 0; --count) {
        *to++ = (int8_t)value;
    }
}

/* Applies a clamp narrower than that of int8 to results. */
static inline void tidepool_clamp_all(int8_t *values, int32_t count, int32_t low, int32_t high)
{
    if (low > INT8_MIN || high < INT8_MAX) {
        for (int32_t i = 0; i < count; ++i) {
            values[i] = (int8_t)tidepool_clamp(values[i], low, high);
        }
    }
}

#if !TIDEPOOL_HAS_DSP
/* Both results of a pair from its sums. */
static inline void tidepool_store_pair(uint32_t r, uint32_t b, const int32_t *record, int8_t *output)
{
    const int32_t a = (int32_t)tidepool_asr((int32_t)(r - b), 8);
    const uint32_t position_a = ((uint32_t)record[2] & 0x3FFFFFFFu) >> 8;
    const uint32_t position_b = (uint32_t)record[5] >> 8;
    if (((uint32_t)record[2] >> 30 & 1u) != 0) {
        output[position_a] = tidepool_rounded_form(a, record);
        output[position_b] = tidepool_rounded_form((int32_t)b, record + 3);
    } else {
        output[position_a] = tidepool_floor_form(r - b, record);
        output[position_b] = tidepool_floor_form(b, record + 3);
    }
}
#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_KERNELS_H */
