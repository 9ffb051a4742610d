/* CONV_2D, one group, and FULLY_CONNECTED of several rows, int8 with weights of four bits, for cores with
 * the vector extension.
 *
 * As conv_2d_mve.c, but a byte of weights is 16 A + B for a tap of two channels. Vectors go into VMLADAVA
 * as they are, which gives the sum of 16 A + B, and shifted to the left by 4, which gives 16 B: as many
 * instructions as for weights of 8 bits. */
#include "tidepool_mve.h"

#if TIDEPOOL_HAS_MVE

/* A vector of each pixel, and one of each pair of channels' weights. */
#define SIXTEEN_TAPS(x_0, x_1)       \
    "vldrb.u8     q0, " x_0 "\n\t"   \
    "vldrb.u8     q2, [r5], #16\n\t" \
    "vldrb.u8     q1, " x_1 "\n\t"   \
    "vmladava.s8  r0, q0, q2\n\t"    \
    "vshl.i8      q3, q2, #4\n\t"    \
    "vmladava.s8  r8, q1, q2\n\t"    \
    "vldrb.u8     q2, [r5], #16\n\t" \
    "vmladava.s8  r2, q0, q3\n\t"    \
    "vmladava.s8  r10, q1, q3\n\t"   \
    "vshl.i8      q3, q2, #4\n\t"    \
    "vmladava.s8  r4, q0, q2\n\t"    \
    "vmladava.s8  r12, q1, q2\n\t"   \
    "vmladava.s8  r6, q0, q3\n\t"    \
    "vmladava.s8  lr, q1, q3\n\t"

/* 16 A + B and 16 B become 16 A and 16 B. */
#define UNPACK_SUMS                  \
    "sub      r0, r0, r2, asr #4\n\t"   \
    "sub      r4, r4, r6, asr #4\n\t"   \
    "sub      r8, r8, r10, asr #4\n\t"  \
    "sub      r12, r12, lr, asr #4\n\t"

#define UNSCALED_SUMS                \
    "vshr.s32 q0, q0, #4\n\t"        \
    "vshr.s32 q1, q1, #4\n\t"

/* The sums 16 A + B and 16 B of a pair of channels for two pixels: `first` and `second`. */
static void run_channels(const int8_t *x_0, const int8_t *x_1, const int8_t *weights, int32_t depth,
                         uint32_t *first, uint32_t *second)
{
    uint32_t whole_0 = first[0];
    uint32_t whole_1 = first[1];
    uint32_t low_0 = second[0];
    uint32_t low_1 = second[1];
    __asm__ volatile("dls          lr, %7\n"
                     "1:\n\t"
                     "vldrb.u8     q0, [%4], #16\n\t"
                     "vldrb.u8     q2, [%6], #16\n\t"
                     "vldrb.u8     q1, [%5], #16\n\t"
                     "vmladava.s8  %0, q0, q2\n\t"
                     "vshl.i8      q3, q2, #4\n\t"
                     "vmladava.s8  %1, q1, q2\n\t"
                     "vmladava.s8  %2, q0, q3\n\t"
                     "vmladava.s8  %3, q1, q3\n\t"
                     "le           lr, 1b"
                     : "+Te"(whole_0), "+Te"(whole_1), "+Te"(low_0), "+Te"(low_1), "+r"(x_0),
                       "+r"(x_1), "+r"(weights)
                     : "r"(depth / TIDEPOOL_MVE_BYTES)
                     : "lr", "q0", "q1", "q2", "q3", "memory");
    first[0] = whole_0;
    first[1] = whole_1;
    second[0] = low_0;
    second[1] = low_1;
}

#else

/* Adds products to the sums of a pair of channels. */
static void sixteen_taps(uint32_t *whole, uint32_t *low, const int8_t *x, const int8_t *weights)
{
    for (int32_t i = 0; i < TIDEPOOL_MVE_BYTES; ++i) {
        const uint8_t shifted = (uint8_t)((uint8_t)weights[i] << 4);
        *whole += (uint32_t)(x[i] * weights[i]);
        *low += (uint32_t)(x[i] * (int8_t)shifted);
    }
}

static const int8_t *tidepool_mve_sixteen_taps(uint32_t *sums, const int8_t *x,
                                               const int8_t *weights)
{
    sixteen_taps(sums, sums + 1, x, weights);
    sixteen_taps(sums + 2, sums + 3, x, weights + TIDEPOOL_MVE_BYTES);
    return weights + 2 * TIDEPOOL_MVE_BYTES;
}

static void tidepool_mve_unpack(uint32_t *sums)
{
    for (int32_t pair = 0; pair < 4; pair += 2) {
        const uint32_t low = (uint32_t)tidepool_asr((int32_t)sums[pair + 1], 4);
        sums[pair] = (uint32_t)tidepool_asr((int32_t)(sums[pair] - low), 4);
        sums[pair + 1] = low;
    }
}

/* The sums 16 A + B and 16 B of a pair of channels for two pixels: `first` and `second`. */
static void run_channels(const int8_t *x_0, const int8_t *x_1, const int8_t *weights, int32_t depth,
                         uint32_t *first, uint32_t *second)
{
    for (int32_t i = 0; i < depth; i += TIDEPOOL_MVE_BYTES) {
        sixteen_taps(&first[0], &second[0], x_0 + i, weights + i);
        sixteen_taps(&first[1], &second[1], x_1 + i, weights + i);
    }
}

#endif

#include "tidepool_mve_pixels.h"

static int32_t group_words(const tidepool_conv_2d_mve_params *p)
{
    return TIDEPOOL_MVE_CHANNELS * 3 + p->depth / 2;
}

static void run_last_channels(const tidepool_conv_2d_mve_params *p, const int8_t *x_0,
                              const int8_t *x_1, int8_t *output, int32_t distance)
{
    const int32_t channels = p->window.output_channels;
    const int32_t *stream = p->stream + channels / TIDEPOOL_MVE_CHANNELS * group_words(p);
    for (int32_t c = channels - channels % TIDEPOOL_MVE_CHANNELS; c < channels; c += 2) {
        uint32_t whole[TIDEPOOL_MVE_PIXELS] = {(uint32_t)stream[0], (uint32_t)stream[0]};
        uint32_t low[TIDEPOOL_MVE_PIXELS] = {(uint32_t)stream[1], (uint32_t)stream[1]};
        run_channels(x_0, x_1, (const int8_t *)(stream + 2), p->depth, whole, low);
        stream += 2 + p->depth / 4;
        for (int32_t i = 0; i < TIDEPOOL_MVE_PIXELS; ++i) {
            const uint32_t b = (uint32_t)tidepool_asr((int32_t)low[i], 4);
            const uint32_t a = (uint32_t)tidepool_asr((int32_t)(whole[i] - b), 4);
            int8_t *const result = output + c + i * distance;
            result[0] = requantize(p, a, stream[0], stream[2]);
            if (c + 1 < channels) {
                result[1] = requantize(p, b, stream[1], stream[3]);
            }
        }
        stream += 4;
    }
}

TIDEPOOL_KERNEL
void tidepool_conv_2d_int4_mve(const tidepool_conv_2d_mve_params *params, const int8_t *input,
                               int8_t *output, uint8_t *scratch)
{
    run_windows(params, input, output, scratch);
}
