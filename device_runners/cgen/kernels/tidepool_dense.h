/* Matrix products. */
#ifndef TIDEPOOL_DENSE_H
#define TIDEPOOL_DENSE_H

#include "tidepool_channels.h"
#include "tidepool_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* FULLY_CONNECTED: output[b][c] = sum over d of input[b][d] * weights[c][d].
 *   quads  weights of four output channels at a time, [output_depth / 4][input_depth] words of bytes
 *          without sign, 128 added to each, the first channel's lowest
 *   rest   those of up to three channels that are left, [output_depth % 4][input_depth]
 *   weights_zero_point is that of both */
typedef struct {
    int32_t batches;
    int32_t input_depth;
    int32_t output_depth;
    int32_t weights_zero_point;
    const uint32_t *quads;
    const int8_t *rest;
    tidepool_channels channels;
} tidepool_fully_connected_params;

void tidepool_fully_connected(const tidepool_fully_connected_params *params, const int8_t *input,
                              int8_t *output);

/* The same with weights of four bits, but for the rest: a word of quads has two taps
 * (tidepool_nibbles.h). */
void tidepool_fully_connected_int4(const tidepool_fully_connected_params *params,
                                   const int8_t *input, int8_t *output);

/* BATCH_MATMUL: output[b][i][j] = sum over k of input_1[b1][i][k] * input_2[b2][k][j], in one to
 * three batch dimensions, each operand with its strides in elements (0 where it is repeated).
 *   factor   as in tidepool_channels, of the one kind or the other
 *   scratch  aligned to words: two columns in halves and two rows, each filled up to whole words:
 *            depth rounded up to a multiple of 4, times 6 */
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
    int32_t general;
    int32_t factor[3];
} tidepool_batch_matmul_params;

void tidepool_batch_matmul(const tidepool_batch_matmul_params *params, const int8_t *input_1,
                           const int8_t *input_2, int8_t *output, uint8_t *scratch);

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_DENSE_H */
