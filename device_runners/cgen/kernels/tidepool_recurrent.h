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

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_RECURRENT_H */
