/* Output channels as the kernels for cores without the DSP extension read them. */
#ifndef TIDEPOOL_CHANNELS_H
#define TIDEPOOL_CHANNELS_H

#include "tidepool_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output channels of a convolution or a dense layer, but for their weights.
 *   starts       [channels], what a sum starts with: the bias, and what zero points add to it
 *   factors      a triple for each channel if factor_step is 3, one for all if it is 0:
 *                general 0: multiplier * 2 - 2^32; 2^(right - 1) + (output zero point << right);
 *                    right, that is -shift, at least 1. Sums are within +-2^30, and with the second
 *                    one added the product fits in 32 bits
 *                general 1: multiplier, output zero point, shift */
typedef struct {
    int32_t output_min;
    int32_t output_max;
    int32_t general;
    int32_t factor_step;
    const int32_t *starts;
    const int32_t *factors;
} tidepool_channels;

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_CHANNELS_H */
