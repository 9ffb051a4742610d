/* Data movement. */
#ifndef TIDEPOOL_MOVES_H
#define TIDEPOOL_MOVES_H

#include "tidepool_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

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

/* SPACE_TO_BATCH_ND: pixel (y, x) of image b, the padding included, goes to image
 * ((y % block_height) * block_width + x % block_width) * batches + b.
 *   value        the padding's; what lies behind the input needs no field */
typedef struct {
    int32_t batches;
    int32_t height; /* of the input */
    int32_t width;
    int32_t channels;
    int32_t block_height;
    int32_t block_width;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_height;
    int32_t output_width;
    int32_t value;
} tidepool_space_to_batch_params;

void tidepool_space_to_batch(const tidepool_space_to_batch_params *params, const int8_t *input,
                             int8_t *output);

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_MOVES_H */
