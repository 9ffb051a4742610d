/* DEPTHWISE_CONV_2D, int8, 3x3 with strides of 1 or 2, for cores with the DSP extension.
 *
 * Four channels at a time, over the whole image: two rows of the input at a time are packed into
 * planes of halves, one for each channel, and every two planes give two rows of the output, or one
 * for strides of 2. The padding is the input's zero point, written to the planes. */
#include "tidepool_dsp.h"
#include "tidepool_dsp_rows.h"

#define TAPS 9
#define STREAM_RECORD 4 /* bias, multiplier, addend, last */
#define FOUR_WORDS (1 + TAPS + CHANNELS * STREAM_RECORD)

/* Unpacks four channels of the stream. */
static void unpack(const int32_t *stream, channel_constants *constants)
{
    const int32_t *taps = stream + 1;
    const int32_t *record = stream + 1 + TAPS;
    for (int32_t x = 0; x < 3; ++x) {
        uint32_t w01[CHANNELS];
        uint32_t w12[CHANNELS];
        tidepool_interleave((uint32_t)taps[x], (uint32_t)taps[x + 3], w01);
        tidepool_interleave((uint32_t)taps[x + 3], (uint32_t)taps[x + 6], w12);
        for (int32_t c = 0; c < CHANNELS; ++c) {
            constants[c].w01[x] = w01[c];
            constants[c].w12[x] = w12[c];
        }
    }
    for (int32_t c = 0; c < CHANNELS; ++c) {
        channel_constants *k = constants + c;
        k->bias[0] = record[0];
        k->bias[1] = record[0];
        k->bias[2] = record[0];
        k->bias[3] = record[0];
        k->record[0] = record[1];
        k->record[1] = record[2];
        k->record[2] = record[3];
        record += STREAM_RECORD;
    }
}

/* Packs rows y and y + 1 of an image into planes, as far as they don't lie in the padding. */
static void pack_rows(const tidepool_window *w, const int8_t *image, const int8_t *padding, int32_t y,
                      tidepool_dsp_row_pair *r)
{
    const int32_t channels = w->input_channels;
    const int32_t row = w->input_width * channels;
    r->above = padding;
    r->below = padding;
    r->step_above = 0;
    r->step_below = 0;
    if ((uint32_t)y < (uint32_t)w->input_height) {
        r->above = image + y * row;
        r->step_above = channels;
    }
    if ((uint32_t)(y + 1) < (uint32_t)w->input_height) {
        r->below = image + (y + 1) * row;
        r->step_below = channels;
    }
    tidepool_dsp_pack(r);
}

/* Where the results of a pass go, for `count` rows of the output. */
static void set_steps(const tidepool_window *w, int32_t count, rows *r)
{
    const int32_t channels = w->output_channels;
    if (w->stride_width == 1) {
        const int32_t down = (count > 1) ? w->output_width * channels : 0;
        const int32_t right = (w->output_width > 1) ? channels : 0;
        r->steps[0] = right;
        r->steps[1] = down;
        r->steps[2] = down + right;
        r->advance = 2 * channels;
        r->last = 4 * w->output_width - PASS_1;
    } else {
        for (int32_t i = 0; i < 3; ++i) {
            r->steps[i] = (i + 1 < w->output_width) ? (i + 1) * channels : 0;
        }
        r->advance = 4 * channels;
        r->last = 8 * w->output_width - PASS_2;
    }
}

/* Four channels of one image. */
static void run_image(const tidepool_depthwise_conv_2d_dsp_params *p, rows *r, const int8_t *image,
                      int8_t *output, uint32_t *const planes[2])
{
    const tidepool_window *w = &p->window;
    const int32_t row = w->output_width * w->output_channels;
    const uint32_t fill = ((uint32_t)p->input_zero_point & 0xFFu) * 0x01010101u;
    const int32_t room = r->pitch / 4 - w->pad_left;
    int8_t padding[CHANNELS];
    memcpy(padding, &fill, sizeof padding);
    tidepool_dsp_row_pair pair = {padding, padding, 0, 0, (w->input_width < room) ? w->input_width : room,
                     planes[0] + w->pad_left, r->pitch};
    uint32_t *upper = planes[0];
    uint32_t *lower = planes[1];
    int32_t y = -w->pad_top;
    pack_rows(w, image, padding, y, &pair);
    r->output = output;
    set_steps(w, 2, r);
    const int32_t rows_at_once = (w->stride_height == 1) ? 2 : 1;
    for (int32_t left = w->output_height; left > 0; left -= rows_at_once) {
        y += 2;
        pair.plane = lower + w->pad_left;
        pack_rows(w, image, padding, y, &pair);
        r->upper = upper;
        r->lower = lower;
        if (rows_at_once == 1) {
            run_row_2(r);
        } else {
            if (left == 1) {
                set_steps(w, 1, r);
            }
            run_rows(r);
        }
        r->output += rows_at_once * row;
        uint32_t *const next = upper;
        upper = lower;
        lower = next;
    }
}

TIDEPOOL_KERNEL
void tidepool_depthwise_3x3_dsp(const tidepool_depthwise_conv_2d_dsp_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t channels = w->input_channels;
    /* A pass reads four columns of the planes for strides of 1, nine for strides of 2. */
    const int32_t least = (w->stride_width == 1) ? 4 : 9;
    const int32_t used = (w->output_width - 1) * w->stride_width + 3;
    const int32_t columns = (used > least) ? used : least;
    const int32_t image_size = w->input_height * w->input_width * channels;
    const int32_t result_size = w->output_height * w->output_width * channels;
    channel_constants *const constants = (channel_constants *)(void *)scratch;
    uint32_t *const planes[2] = {(uint32_t *)(void *)(constants + CHANNELS),
                                 (uint32_t *)(void *)(constants + CHANNELS) + CHANNELS * columns};
    rows r = {output, {0, 0, 0}, 0, constants, planes[0], planes[1], 0, 4 * columns};
    const uint32_t padding = ((uint32_t)params->input_zero_point & 0xFFFFu) * 0x10001u;
    for (int32_t i = 0; i < 2 * CHANNELS * columns; ++i) {
        planes[0][i] = padding;
    }
    for (int32_t done = 0; done < params->stream_words; done += FOUR_WORDS) {
        const int32_t *stream = params->stream + done;
        unpack(stream, constants);
        for (int32_t b = 0; b < w->batches; ++b) {
            run_image(params, &r, input + b * image_size + stream[0],
                      output + b * result_size + stream[0], planes);
        }
    }
    tidepool_clamp_all(output, w->batches * result_size, params->output_min, params->output_max);
}
