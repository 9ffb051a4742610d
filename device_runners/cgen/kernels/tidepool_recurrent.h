/* Layers with a state, which lasts from one call to the next.
 *
 * The state lies in memory of its own. It starts at its zero point (0 for int16), and whoever sets it
 * to that begins a new sequence. */
#ifndef TIDEPOOL_RECURRENT_H
#define TIDEPOOL_RECURRENT_H

#include "tidepool_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* SVDF: each filter projects the input to one feature, remembers its last `memory` features and
 * weighs them; a unit is the sum of `rank` filters.
 *   weights_feature  [units * rank][input_size], zero point 0
 *   feature_bias     [units * rank]: -input zero point * sum of the filter's weights
 *   weights_time     [units * rank][memory], the oldest feature first, zero point 0
 *   bias             [units], or NULL
 *   state            [batches][units * rank][memory], features in int16
 * The feature's factor is input scale * weight scale / state scale, the output's state scale * weight
 * scale / output scale, below 1/2. The sums over time wrap around at 32 bits, as the reference's. */
typedef struct {
    int32_t batches;
    int32_t input_size;
    int32_t units;
    int32_t rank;
    int32_t memory;
    int32_t feature_multiplier;
    int32_t feature_shift;
    int32_t output_multiplier;
    int32_t output_shift;
    int32_t output_zero_point;
    const int8_t *weights_feature;
    const int32_t *feature_bias;
    const int16_t *weights_time;
    const int32_t *bias;
} tidepool_svdf_params;

void tidepool_svdf(const tidepool_svdf_params *params, const int8_t *input, int8_t *output,
                   int16_t *state);

/* One gate of an LSTM: its sum in Q3.12 comes from the input and from the hidden state.
 *   input_weights      [units][input_size], zero point 0
 *   recurrent_weights  [units][units], zero point 0
 *   input_bias         [units]: bias - input zero point * sum of the unit's weights
 *   recurrent_bias     [units]: -hidden zero point * sum of the unit's weights
 * The factors are weight scale * input (or hidden) scale * 2^12. */
typedef struct {
    const int8_t *input_weights;
    const int8_t *recurrent_weights;
    const int32_t *input_bias;
    const int32_t *recurrent_bias;
    int32_t input_multiplier;
    int32_t input_shift;
    int32_t recurrent_multiplier;
    int32_t recurrent_shift;
} tidepool_lstm_gate;

/* UNIDIRECTIONAL_SEQUENCE_LSTM: for each step
 *   cell   = logistic(forget gate) * cell + logistic(input gate) * tanh(cell gate)
 *   hidden = logistic(output gate) * tanh(cell)
 * and the output is what was hidden at each step.
 *   coupled      1: there is no input gate, 1 - the forget gate takes its place
 *   step_stride, batch_stride  from one step, one sequence to the next, in vectors of a step
 *   cell_bits    integer bits of the cell's fixed point, 0 to 6
 *   cell_clip    largest magnitude of the cell, or 0 for no limit
 *   hidden       [batches][units], int8; hidden_multiplier, hidden_shift: 2^-30 / its scale
 *   cell         [batches][units], int16 */
typedef struct {
    int32_t batches;
    int32_t steps;
    int32_t batch_stride;
    int32_t step_stride;
    int32_t input_size;
    int32_t units;
    int32_t coupled;
    int32_t cell_bits;
    int32_t cell_clip;
    int32_t hidden_multiplier;
    int32_t hidden_shift;
    int32_t hidden_zero_point;
    tidepool_lstm_gate input_gate;
    tidepool_lstm_gate forget_gate;
    tidepool_lstm_gate cell_gate;
    tidepool_lstm_gate output_gate;
} tidepool_lstm_params;

void tidepool_lstm(const tidepool_lstm_params *params, const int8_t *input, int8_t *output,
                   int8_t *hidden, int16_t *cell);

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_RECURRENT_H */
