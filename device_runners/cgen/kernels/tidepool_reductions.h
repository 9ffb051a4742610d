/* Kernels that reduce dimensions, or normalize along one. */
#ifndef TIDEPOOL_REDUCTIONS_H
#define TIDEPOOL_REDUCTIONS_H

#include "tidepool_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_MAX_REDUCE_DIMENSIONS 4

/* The input's dimensions, split into kept and reduced ones, each outermost first with its size and
 * its stride in elements. Unused ones have size 1. */
typedef struct {
    int32_t kept_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
    int32_t kept_strides[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
    int32_t reduced_sizes[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
    int32_t reduced_strides[TIDEPOOL_MAX_REDUCE_DIMENSIONS];
} tidepool_reduction;

/* SUM and MEAN. factor = input scale / output scale, for MEAN over the number of reduced elements. */
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

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_REDUCTIONS_H */
