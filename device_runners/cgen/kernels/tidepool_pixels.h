/* Sums and maxima over pixels, channel by channel: pools and means. */
#ifndef TIDEPOOL_PIXELS_H
#define TIDEPOOL_PIXELS_H

#include "tidepool_arithmetic.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIDEPOOL_PIXEL_CHANNELS 16 /* that are reduced at a time, at most */

/* A rectangle of pixels, the channels of each side by side. Pitches in bytes. */
typedef struct {
    const int8_t *first;
    int32_t rows;
    int32_t columns;
    int32_t row_pitch;
    int32_t pitch; /* from one pixel to the next */
} tidepool_pixels;

/* Sums of so many pixels fit in 16 bits. */
#define TIDEPOOL_SUMMED_PIXELS 256

#if TIDEPOOL_HAS_MVE

/* Adds up to eight channels of up to TIDEPOOL_SUMMED_PIXELS pixels to sums. */
static inline void tidepool_add_eight(const tidepool_pixels *p, int32_t channels, int32_t *sums)
{
    int16_t of_block[8];
    const int8_t *x = p->first;
    int32_t rows = p->rows;
    __asm__ volatile("vctp.16    %[channels]\n\t"
                     "vmov.i32   q0, #0\n"
                     "1:\n\t"
                     "dls        lr, %[columns]\n"
                     "2:\n\t"
                     "vpst\n\t"
                     "vldrbt.s16 q1, [%[x]]\n\t"
                     "vadd.i16   q0, q0, q1\n\t"
                     "add        %[x], %[x], %[pitch]\n\t"
                     "le         lr, 2b\n\t"
                     "add        %[x], %[x], %[gap]\n\t"
                     "subs       %[rows], %[rows], #1\n\t"
                     "bne        1b\n\t"
                     "vstrh.16   q0, [%[of_block]]"
                     : [x] "+l"(x), [rows] "+r"(rows)
                     : [channels] "r"(channels), [columns] "r"(p->columns), [pitch] "r"(p->pitch),
                       [gap] "r"(p->row_pitch - p->columns * p->pitch), [of_block] "r"(of_block)
                     : "lr", "q0", "q1", "cc", "memory");
    for (int32_t c = 0; c < channels; ++c) {
        sums[c] += of_block[c];
    }
}

static inline void tidepool_add_block(const tidepool_pixels *p, int32_t channels, int32_t *sums)
{
    tidepool_pixels block = *p;
    tidepool_add_eight(&block, (channels < 8) ? channels : 8, sums);
    if (channels > 8) {
        block.first += 8;
        tidepool_add_eight(&block, channels - 8, sums + 8);
    }
}

#else

/* Adds four channels of up to TIDEPOOL_SUMMED_PIXELS pixels to sums. */
static inline void tidepool_add_four(const tidepool_pixels *p, int32_t c, int32_t *sums)
{
#if TIDEPOOL_HAS_DSP
    uint32_t even = 0; /* channels 0 and 2, as halves */
    uint32_t odd = 0;
    const int8_t *row = p->first + c;
    for (int32_t y = p->rows; y > 0; --y) {
        const int8_t *x = row;
        for (int32_t left = p->columns; left > 0; --left) {
            const uint32_t word = tidepool_load_word(x);
            __asm__("sxtab16 %0, %0, %1" : "+r"(even) : "r"(word));
            __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(odd) : "r"(word));
            x += p->pitch;
        }
        row += p->row_pitch;
    }
    sums[c] += tidepool_low_half(even);
    sums[c + 1] += tidepool_low_half(odd);
    sums[c + 2] += tidepool_high_half(even);
    sums[c + 3] += tidepool_high_half(odd);
#else
    int32_t of_block[4] = {0, 0, 0, 0};
    for (int32_t y = 0; y < p->rows; ++y) {
        const int8_t *x = p->first + (y * p->row_pitch + c);
        for (int32_t left = p->columns; left > 0; --left) {
            of_block[0] += x[0];
            of_block[1] += x[1];
            of_block[2] += x[2];
            of_block[3] += x[3];
            x += p->pitch;
        }
    }
    for (int32_t i = 0; i < 4; ++i) {
        sums[c + i] += of_block[i];
    }
#endif
}

static inline void tidepool_add_block(const tidepool_pixels *p, int32_t channels, int32_t *sums)
{
    int32_t c = 0;
    for (; c + 4 <= channels; c += 4) {
        tidepool_add_four(p, c, sums);
    }
    for (; c < channels; ++c) {
        for (int32_t y = 0; y < p->rows; ++y) {
            const int8_t *x = p->first + (y * p->row_pitch + c);
            for (int32_t left = p->columns; left > 0; --left) {
                sums[c] += *x;
                x += p->pitch;
            }
        }
    }
}

#endif

/* The sums of up to TIDEPOOL_PIXEL_CHANNELS channels. */
static inline void tidepool_sum_pixels(const tidepool_pixels *p, int32_t channels, int32_t *sums)
{
    for (int32_t c = 0; c < channels; ++c) {
        sums[c] = 0;
    }
    tidepool_pixels block = *p;
    for (int32_t x = 0; x < p->columns; x += TIDEPOOL_SUMMED_PIXELS) {
        block.columns = tidepool_clamp(p->columns - x, 1, TIDEPOOL_SUMMED_PIXELS);
        const int32_t at_once = TIDEPOOL_SUMMED_PIXELS / block.columns;
        for (int32_t y = 0; y < p->rows; y += at_once) {
            block.rows = tidepool_clamp(p->rows - y, 1, at_once);
            block.first = p->first + (y * p->row_pitch + x * p->pitch);
            tidepool_add_block(&block, channels, sums);
        }
    }
}

#if TIDEPOOL_HAS_MVE

/* The maxima of up to TIDEPOOL_PIXEL_CHANNELS channels. */
static inline void tidepool_max_pixels(const tidepool_pixels *p, int32_t channels, int8_t *maxima)
{
    const int8_t *x = p->first;
    int32_t rows = p->rows;
    __asm__ volatile("vctp.8    %[channels]\n\t"
                     "vmov.i8   q0, #0x80\n"
                     "1:\n\t"
                     "dls       lr, %[columns]\n"
                     "2:\n\t"
                     "vpst\n\t"
                     "vldrbt.u8 q1, [%[x]]\n\t"
                     "vmax.s8   q0, q0, q1\n\t"
                     "add       %[x], %[x], %[pitch]\n\t"
                     "le        lr, 2b\n\t"
                     "add       %[x], %[x], %[gap]\n\t"
                     "subs      %[rows], %[rows], #1\n\t"
                     "bne       1b\n\t"
                     "vstrb.8   q0, [%[maxima]]"
                     : [x] "+r"(x), [rows] "+r"(rows)
                     : [channels] "r"(channels), [columns] "r"(p->columns), [pitch] "r"(p->pitch),
                       [gap] "r"(p->row_pitch - p->columns * p->pitch), [maxima] "r"(maxima)
                     : "lr", "q0", "q1", "cc", "memory");
}

#else

static inline int8_t tidepool_max_channel(const tidepool_pixels *p, int32_t c)
{
    int8_t max = INT8_MIN;
    for (int32_t y = 0; y < p->rows; ++y) {
        const int8_t *x = p->first + (y * p->row_pitch + c);
        for (int32_t left = p->columns; left > 0; --left) {
            max = (*x > max) ? *x : max;
            x += p->pitch;
        }
    }
    return max;
}

static inline void tidepool_max_pixels(const tidepool_pixels *p, int32_t channels, int8_t *maxima)
{
    int32_t c = 0;
#if TIDEPOOL_HAS_DSP
    for (; c + 4 <= channels; c += 4) {
        uint32_t max = 0x80808080u;
        const int8_t *row = p->first + c;
        for (int32_t y = p->rows; y > 0; --y) {
            const int8_t *x = row;
            for (int32_t left = p->columns; left > 0; --left) {
                uint32_t scratch; /* SSUB8 is for its flags, which SEL reads */
                __asm__("ssub8 %1, %2, %0\n\tsel %0, %2, %0"
                        : "+r"(max), "=&r"(scratch)
                        : "r"(tidepool_load_word(x)));
                x += p->pitch;
            }
            row += p->row_pitch;
        }
        memcpy(maxima + c, &max, sizeof max);
    }
#endif
    for (; c < channels; ++c) {
        maxima[c] = tidepool_max_channel(p, c);
    }
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* TIDEPOOL_PIXELS_H */
