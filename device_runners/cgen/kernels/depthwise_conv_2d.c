/* DEPTHWISE_CONV_2D, int8: any window, stride, dilation and depth multiplier.
 *
 * Four input channels at a time. The input rows of a band of output rows are copied to scratch
 * memory first, the padding at both sides filled in, so that the output may take the input's place.
 * There, 128 is added to the inputs: bytes without a sign are easier to load on small cores. */
#include "tidepool_images.h"
#include "tidepool_scalar.h"

#define FOUR 4 /* bytes from column to column of a line */
#define SIGNS 0x80808080u

/* Lines of four channels, and where they are from. */
typedef struct {
    uint8_t *first;
    int32_t pitch; /* bytes of a line */
    int32_t left;  /* bytes of the padding in front */
    int32_t columns;
    int32_t channels; /* at most 4 */
} lines;

/* The filter over lines. */
typedef struct {
    int32_t height;
    int32_t width;
    int32_t step;   /* bytes from one output to the next */
    int32_t row;    /* bytes from row to row */
    int32_t column; /* bytes from column to column */
} filter;

static int32_t extent(int32_t size, int32_t dilation)
{
    return (size - 1) * dilation + 1;
}

/* Copies `columns` pixels of up to four channels. */
static void copy_line(const lines *l, const int8_t *from, int32_t channels, uint8_t *to)
{
    to += l->left;
#if TIDEPOOL_WORDS_ANYWHERE
    if (l->channels == FOUR) {
        for (int32_t x = l->columns; x > 0; --x) {
            const uint32_t word = tidepool_load_word(from) ^ SIGNS;
            memcpy(to, &word, FOUR);
            from += channels;
            to += FOUR;
        }
        return;
    }
#endif
    for (int32_t x = l->columns; x > 0; --x) {
        for (int32_t c = 0; c < l->channels; ++c) {
            to[c] = (uint8_t)(from[c] ^ INT8_MIN);
        }
        from += channels;
        to += FOUR;
    }
}

/* Adds the products of two neighbouring outputs for 3x3 taps, `step` a constant. */
static inline void add_3x3(const uint8_t *x, int32_t pitch, const int8_t *weights, int32_t step,
                           uint32_t *sums)
{
    uint32_t a = sums[0];
    uint32_t b = sums[1];
    for (int32_t fy = 0; fy < 3; ++fy) {
        a += (uint32_t)(x[0] * weights[0]);
        b += (uint32_t)(x[step] * weights[0]);
        a += (uint32_t)(x[FOUR] * weights[1]);
        b += (uint32_t)(x[step + FOUR] * weights[1]);
        a += (uint32_t)(x[2 * FOUR] * weights[2]);
        b += (uint32_t)(x[step + 2 * FOUR] * weights[2]);
        x += pitch;
        weights += 3;
    }
    sums[0] = a;
    sums[1] = b;
}

static inline void add_any(const filter *f, const uint8_t *x, const int8_t *weights, uint32_t *sums)
{
    uint32_t a = sums[0];
    uint32_t b = sums[1];
    for (int32_t fy = f->height; fy > 0; --fy) {
        const uint8_t *column = x;
        for (int32_t fx = f->width; fx > 0; --fx) {
            const int32_t weight = *weights++;
            a += (uint32_t)(column[0] * weight);
            b += (uint32_t)(column[f->step] * weight);
            column += f->column;
        }
        x += f->row;
    }
    sums[0] = a;
    sums[1] = b;
}

/* One output row of one channel, `channels` bytes from column to column. */
static void run_row(const tidepool_channels *c, const filter *f, const uint8_t *x, int32_t channel,
                    int32_t columns, int8_t *output, int32_t channels)
{
    const int8_t *const weights = c->weights + channel * f->height * f->width;
    const int32_t *const factors = c->factors + channel * c->factor_step;
    const uint32_t start = (uint32_t)c->starts[channel];
    const int32_t multiplier = factors[0];
    const int32_t addend = factors[1];
    const int32_t right = factors[2];
    const int small = f->height == 3 && f->width == 3 && f->column == FOUR;
    for (; columns > 0; columns -= 2) {
        uint32_t sums[2] = {start, start};
        if (small && f->step == FOUR) {
            add_3x3(x, f->row, weights, FOUR, sums);
        } else if (small && f->step == 2 * FOUR) {
            add_3x3(x, f->row, weights, 2 * FOUR, sums);
        } else {
            add_any(f, x, weights, sums);
        }
        x += 2 * f->step;
        for (int32_t i = 0; i < 2 && i < columns; ++i) {
            *output = c->general ? tidepool_finish_general(sums[i], factors)
                                 : tidepool_finish(sums[i], multiplier, addend, right);
            output += channels;
        }
    }
}

/* Input channels `first` to `first` + 3 of one image. */
static void run_channels(const tidepool_depthwise_conv_2d_params *p, const lines *l,
                         const int8_t *input, int32_t first, int8_t *output)
{
    const tidepool_window *w = &p->window;
    const int32_t height = extent(w->filter_height, w->dilation_height);
    const int32_t shared = (height > w->stride_height) ? height - w->stride_height : 0;
    const filter f = {w->filter_height, w->filter_width, FOUR * w->stride_width,
                      l->pitch * w->dilation_height, FOUR * w->dilation_width};
    const int32_t outputs = l->channels * p->depth_multiplier;
    int32_t y = -w->pad_top; /* of the input row that is copied next */
    int32_t held = 0;
    for (int32_t done = 0; done < w->output_height; done += p->band) {
        const int32_t left = w->output_height - done;
        const int32_t rows = (left < p->band) ? left : p->band;
        /* What the last band's windows share with this one's moves to the front. */
        if (held > 0) {
            tidepool_copy_bytes((int8_t *)l->first,
                                (const int8_t *)l->first + (held - shared) * l->pitch,
                                shared * l->pitch);
            y = done * w->stride_height - w->pad_top + shared;
            held = shared;
        }
        for (; held < (rows - 1) * w->stride_height + height; ++held, ++y) {
            uint8_t *const line = l->first + held * l->pitch;
            if (y < 0 || y >= w->input_height) {
                tidepool_fill_bytes((int8_t *)line, p->input_zero_point ^ INT8_MIN, l->pitch);
            } else {
                copy_line(l, input + y * w->input_width * w->input_channels, w->input_channels,
                          line);
            }
        }
        for (int32_t c = 0; c < outputs; ++c) {
            const uint8_t *x = l->first + c / p->depth_multiplier;
            int8_t *to = output + done * w->output_width * w->output_channels + c;
            for (int32_t row = 0; row < rows; ++row) {
                run_row(&p->channels, &f, x, first * p->depth_multiplier + c, w->output_width, to,
                        w->output_channels);
                x += w->stride_height * l->pitch;
                to += w->output_width * w->output_channels;
            }
        }
    }
}

TIDEPOOL_KERNEL
void tidepool_depthwise_conv_2d(const tidepool_depthwise_conv_2d_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t height = extent(w->filter_height, w->dilation_height);
    const int32_t width = w->stride_width * ((w->output_width + 1) / 2 * 2 - 1) +
                          extent(w->filter_width, w->dilation_width);
    const int32_t in_size = w->input_height * w->input_width * w->input_channels;
    const int32_t out_size = w->output_height * w->output_width * w->output_channels;
    const int32_t right = tidepool_clamp(width - w->pad_left, 0, w->input_width);
    lines l = {scratch, FOUR * width, FOUR * w->pad_left, right, FOUR};
    tidepool_fill_bytes((int8_t *)scratch, params->input_zero_point ^ INT8_MIN,
                        ((params->band - 1) * w->stride_height + height) * l.pitch);
    for (int32_t b = 0; b < w->batches; ++b) {
        for (int32_t c = 0; c < w->input_channels; c += FOUR) {
            const int32_t left = w->input_channels - c;
            l.channels = (left < FOUR) ? left : FOUR;
            run_channels(params, &l, input + b * in_size + c, c,
                         output + b * out_size + c * params->depth_multiplier);
        }
    }
    tidepool_clamp_all(output, w->batches * out_size, params->channels.output_min,
                       params->channels.output_max);
}
