/* CONV_2D, one group, and FULLY_CONNECTED of several rows, int8, for cores with the vector extension.
 *
 * Two pixels by four output channels at a time (tidepool_mve_pairs.h). The windows of a filter larger
 * than one pixel are runs of bytes in a copy (tidepool_mve_strips.h). */
#include "tidepool_mve.h"

#if TIDEPOOL_HAS_MVE

/* A vector of each pixel, and one of each channel's weights. */
#define SIXTEEN_TAPS(x_0, x_1)       \
    "vldrb.u8     q0, " x_0 "\n\t"   \
    "vldrb.u8     q2, [r5], #16\n\t" \
    "vldrb.u8     q1, " x_1 "\n\t"   \
    "vmladava.s8  r0, q0, q2\n\t"    \
    "vldrb.u8     q3, [r5], #16\n\t" \
    "vmladava.s8  r8, q1, q2\n\t"    \
    "vldrb.u8     q2, [r5], #16\n\t" \
    "vmladava.s8  r2, q0, q3\n\t"    \
    "vmladava.s8  r10, q1, q3\n\t"   \
    "vldrb.u8     q3, [r5], #16\n\t" \
    "vmladava.s8  r4, q0, q2\n\t"    \
    "vmladava.s8  r12, q1, q2\n\t"   \
    "vmladava.s8  r6, q0, q3\n\t"    \
    "vmladava.s8  lr, q1, q3\n\t"

#define UNPACK_SUMS
#define UNSCALED_SUMS

/* The sums of one channel for two pixels. */
static void run_channel(const int8_t *x_0, const int8_t *x_1,
                         const int8_t *weights, int32_t depth, uint32_t *sums)
{
    uint32_t sum_0 = sums[0];
    uint32_t sum_1 = sums[1];
    __asm__ volatile("dls          lr, %5\n"
                     "1:\n\t"
                     "vldrb.u8     q0, [%2], #16\n\t"
                     "vldrb.u8     q2, [%4], #16\n\t"
                     "vldrb.u8     q1, [%3], #16\n\t"
                     "vmladava.s8  %0, q0, q2\n\t"
                     "vmladava.s8  %1, q1, q2\n\t"
                     "le           lr, 1b"
                     : "+Te"(sum_0), "+Te"(sum_1), "+r"(x_0), "+r"(x_1), "+r"(weights)
                     : "r"(depth / TIDEPOOL_MVE_BYTES)
                     : "lr", "q0", "q1", "q2", "memory");
    sums[0] = sum_0;
    sums[1] = sum_1;
}

#else

/* One pixel, four channels, whose weights follow each other. */
static const int8_t *tidepool_mve_sixteen_taps(uint32_t *sums, const int8_t *x,
                                               const int8_t *weights)
{
    for (int32_t c = 0; c < 4; ++c) {
        sums[c] = tidepool_mve_products(sums[c], x, weights);
        weights += TIDEPOOL_MVE_BYTES;
    }
    return weights;
}

static void tidepool_mve_unpack(uint32_t *sums)
{
    (void)sums;
}

/* The sums of one channel for two pixels. */
static void run_channel(const int8_t *x_0, const int8_t *x_1,
                         const int8_t *weights, int32_t depth, uint32_t *sums)
{
    for (int32_t i = 0; i < depth; i += TIDEPOOL_MVE_BYTES) {
        sums[0] = tidepool_mve_products(sums[0], x_0 + i, weights + i);
        sums[1] = tidepool_mve_products(sums[1], x_1 + i, weights + i);
    }
}

#endif

#include "tidepool_mve_pixels.h"

/* Words of the stream for one channel. */
static int32_t channel_words(const tidepool_conv_2d_mve_params *p)
{
    return 3 + p->depth / 4;
}

static int32_t group_words(const tidepool_conv_2d_mve_params *p)
{
    return TIDEPOOL_MVE_CHANNELS * channel_words(p);
}

static void run_last_channels(const tidepool_conv_2d_mve_params *p, const int8_t *x_0,
                              const int8_t *x_1, int8_t *output, int32_t distance)
{
    const int32_t channels = p->window.output_channels;
    const int32_t first = channels - channels % TIDEPOOL_MVE_CHANNELS;
    const int32_t *stream = p->stream + first * channel_words(p);
    for (int32_t c = first; c < channels; ++c) {
        uint32_t sums[TIDEPOOL_MVE_PIXELS] = {(uint32_t)stream[0], (uint32_t)stream[0]};
        run_channel(x_0, x_1, (const int8_t *)(stream + 1), p->depth, sums);
        stream += channel_words(p);
        output[c] = requantize(p, sums[0], stream[-2], stream[-1]);
        output[c + distance] = requantize(p, sums[1], stream[-2], stream[-1]);
    }
}

TIDEPOOL_KERNEL
void tidepool_conv_2d_mve(const tidepool_conv_2d_mve_params *params, const int8_t *input,
                          int8_t *output, uint8_t *scratch)
{
    run_windows(params, input, output, scratch);
}
