/* Planes of a depthwise convolution for the vector extension: two inputs of a channel in a half.
 *
 * A plane holds columns of eight channels, [columns][8] halves. Its low bytes are those of one row of
 * the input, its high bytes those of another one, or of columns further right. */
#ifndef TIDEPOOL_MVE_PLANES_H
#define TIDEPOOL_MVE_PLANES_H

#include "tidepool_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_MVE_LANES 8 /* channels of a plane */

/* Two rows of up to eight channels. One that lies in the padding repeats a pixel: its step is 0. */
typedef struct {
    const int8_t *above;
    const int8_t *below;
    int32_t step_above; /* to the next column */
    int32_t step_below;
    int32_t columns;
    int32_t channels;
} tidepool_mve_row_pair;

#if TIDEPOOL_HAS_MVE

static inline void tidepool_mve_pack(const tidepool_mve_row_pair *r, uint16_t *plane)
{
    const int8_t *above = r->above;
    const int8_t *below = r->below;
    __asm__ volatile("vctp.16    %6\n\t"
                     "wls        lr, %5, 2f\n"
                     "1:\n\t"
                     "vpstt\n\t"
                     "vldrbt.u16 q0, [%0]\n\t"
                     "vldrbt.u16 q1, [%1]\n\t"
                     "vsli.16    q0, q1, #8\n\t"
                     "vstrh.16   q0, [%2], #16\n\t"
                     "add        %0, %0, %3\n\t"
                     "add        %1, %1, %4\n\t"
                     "le         lr, 1b\n"
                     "2:"
                     : "+l"(above), "+l"(below), "+r"(plane)
                     : "r"(r->step_above), "r"(r->step_below), "r"(r->columns), "r"(r->channels)
                     : "lr", "q0", "q1", "memory");
}

static inline void tidepool_mve_copy_planes(uint16_t *to, const uint16_t *from, int32_t bytes)
{
    __asm__ volatile("wlstp.8    lr, %2, 2f\n"
                     "1:\n\t"
                     "vldrb.u8   q0, [%1], #16\n\t"
                     "vstrb.8    q0, [%0], #16\n\t"
                     "letp       lr, 1b\n"
                     "2:"
                     : "+r"(to), "+r"(from)
                     : "r"(bytes)
                     : "lr", "q0", "memory");
}

#else

static inline void tidepool_mve_pack(const tidepool_mve_row_pair *r, uint16_t *plane)
{
    for (int32_t x = 0; x < r->columns; ++x) {
        for (int32_t c = 0; c < r->channels; ++c) {
            const uint32_t above = (uint8_t)r->above[x * r->step_above + c];
            const uint32_t below = (uint8_t)r->below[x * r->step_below + c];
            plane[x * TIDEPOOL_MVE_LANES + c] = (uint16_t)(above | below << 8);
        }
    }
}

static inline void tidepool_mve_copy_planes(uint16_t *to, const uint16_t *from, int32_t bytes)
{
    memmove(to, from, (size_t)bytes);
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_MVE_PLANES_H */
