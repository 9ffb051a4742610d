/* Element-wise kernels. */
#ifndef TIDEPOOL_ELEMENTWISE_H
#define TIDEPOOL_ELEMENTWISE_H

#include "tidepool_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

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

/* ADD and SUB of two tensors of one shape: (a * factor_1 + b * factor_2 + addend) >> shift, clamped. The
 * code generator has compared it with the operator on all 65,536 pairs of operands.
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

/* The same with broadcasting. In place: with an operand of the output's shape. */
typedef struct {
    tidepool_broadcast broadcast;
    int32_t factor_1;
    int32_t factor_2;
    int32_t addend;
    int32_t shift;
    int32_t output_min;
    int32_t output_max;
} tidepool_add_affine_broadcast_params;

void tidepool_add_affine_broadcast(const tidepool_add_affine_broadcast_params *params,
                                   const int8_t *input_1, const int8_t *input_2, int8_t *output);

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

/* RELU, RELU6 and QUANTIZE: (input * factor + addend) >> shift, clamped. The code generator has
 * compared it with the op on all 256 inputs. In place. */
typedef struct {
    int32_t count;
    int32_t factor;
    int32_t addend;
    int32_t shift;
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

/* DEQUANTIZE: output = scale * (input - zero point), in float. */
typedef struct {
    int32_t count;
    int32_t zero_point;
    float scale;
} tidepool_dequantize_params;

void tidepool_dequantize(const tidepool_dequantize_params *params, const int8_t *input,
                         float *output);

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

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_ELEMENTWISE_H */
