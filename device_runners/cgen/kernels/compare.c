/* GREATER, LESS, EQUAL and the like, int8 to bool, with broadcasting. */
#include "tidepool_arithmetic.h"
#include "tidepool_elementwise.h"

/* 9 bits of difference + 8 + sign = 18 bits. */
#define COMPARE_LEFT_SHIFT 8

static int8_t compare(const tidepool_compare_params *p, int32_t a, int32_t b)
{
    const int32_t one = INT32_C(1) << COMPARE_LEFT_SHIFT;
    const int32_t scaled_1 =
        tidepool_requantize((a - p->zero_point_1) * one, p->multiplier_1, p->shift_1);
    const int32_t scaled_2 =
        tidepool_requantize((b - p->zero_point_2) * one, p->multiplier_2, p->shift_2);
    const int32_t unequal = (scaled_1 < scaled_2) ? p->if_less : p->if_greater;
    return (int8_t)((scaled_1 == scaled_2) ? p->if_equal : unequal);
}

TIDEPOOL_KERNEL
void tidepool_compare(const tidepool_compare_params *params, const int8_t *input_1,
                      const int8_t *input_2, int8_t *output)
{
    const tidepool_broadcast *s = &params->broadcast;
    const int32_t last = TIDEPOOL_MAX_BROADCAST_DIMENSIONS - 1;
    tidepool_broadcast_place place = {{0}, 0, 0};

    do {
        for (int32_t i = 0; i < s->sizes[last]; ++i) {
            *output++ = compare(params, input_1[place.offset_1 + i * s->strides_1[last]],
                                input_2[place.offset_2 + i * s->strides_2[last]]);
        }
    } while (tidepool_next_row(s, &place) != 0);
}
