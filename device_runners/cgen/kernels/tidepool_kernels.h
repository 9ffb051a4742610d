/* Tidepool int8 kernels, portable C11.
 *
 * This file and the tidepool_<kernel>.c beside it are the same, byte for byte, whatever model they
 * were written with. Models in one image may each bring a copy: see "Several models" below.
 *
 * Conventions of every kernel
 *   - Tensors are int8, dense, the last dimension innermost (NHWC).
 *       real value = scale * (q - zero_point), zero_point in [-128, 127].
 *   - output_min <= output_max, both in [-128, 127], hold the fused activation.
 *   - Counts and dimensions are at least 1 unless said otherwise.
 *   - `input` and `output` do not overlap, except where a kernel says "in place": there they may
 *     be the same address (no other overlap).
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

/* RELU, RELU6 and QUANTIZE (int8 to int8): factor = input scale / output scale; shift <= 22.
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

/* LOGISTIC: output = table[input + 128]. In place. */
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

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_KERNELS_H */
