/* SELECT and SELECT_V2, int8, with broadcasting. */
#include "tidepool_elementwise.h"

TIDEPOOL_KERNEL
void tidepool_select(const tidepool_select_params *params, const int8_t *condition,
                     const int8_t *input_1, const int8_t *input_2, int8_t *output)
{
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    int32_t index[TIDEPOOL_MAX_BROADCAST_DIMENSIONS] = {0};
    int32_t d = 0;

    while (d >= 0) {
        int32_t place = 0;
        int32_t place_1 = 0;
        int32_t place_2 = 0;
        for (int32_t i = 0; i <= last; ++i) {
            place += index[i] * params->strides_condition[i];
            place_1 += index[i] * params->strides_1[i];
            place_2 += index[i] * params->strides_2[i];
        }
        *output++ = (condition[place] != 0) ? input_1[place_1] : input_2[place_2];
        for (d = last; d >= 0; --d) {
            if (++index[d] < params->sizes[d]) {
                break;
            }
            index[d] = 0;
        }
    }
}
