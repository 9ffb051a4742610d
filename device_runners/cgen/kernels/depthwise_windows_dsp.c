/* DEPTHWISE_CONV_2D, int8, any window, stride, dilation and depth multiplier, for cores with the DSP
 * extension.
 *
 * Four input channels at a time, over the whole image: rows are packed by twos, a dilation apart, into
 * planes of halves (those of a filter of one row: columns), the padding being the input's zero point, and
 * rows of results are computed from them (tidepool_dsp_windows.h). Planes that the next rows of the
 * output need as well are kept, so that rows of the input are read before results take their place. */
#include "tidepool_dsp_windows.h"

#define CHANNELS TIDEPOOL_DSP_CHANNELS
#define STREAM_RECORD 4 /* bias, multiplier, addend, last */

/* Two taps of the filter whose weights share a word. */
typedef struct {
    int32_t word;  /* of the constants */
    int16_t one;   /* their places in the filter */
    int16_t other; /* -1: there is none */
} pair_of_taps;

/* How the planes lie, and how many there are. */
typedef struct {
    const tidepool_depthwise_windows_dsp_params *p;
    int32_t remainders; /* modulo the stride, of the columns that are needed */
    int32_t run;        /* words of the columns of one remainder */
    int32_t plane;      /* words of four channels */
    int32_t next_row;   /* planes from a row of the output to the next */
    int32_t next_pair;  /* planes from two rows of the filter to the next two */
    int32_t deep;       /* planes of one row */
    int32_t across;     /* pairs of taps in a plane */
    int32_t column;     /* from a pair of taps in a plane to the next */
} layout;

/* Columns of a plane with one remainder, whose first and second inputs each lie in the image or don't. */
typedef struct {
    int32_t columns;
    int32_t word;  /* where they begin in the plane */
    int32_t above; /* where the inputs of the first one begin in a row of the input; -1: the padding */
    int32_t below;
} segment;

#define SEGMENTS (3 * TIDEPOOL_DSP_REMAINDERS)

/* Four channels of one image. */
typedef struct {
    const layout *l;
    const int8_t *image;
    const int8_t *padding; /* a word of it */
    segment segments[SEGMENTS];
    int32_t count; /* of segments */
} source;

static inline int32_t smaller(int32_t a, int32_t b)
{
    return (a < b) ? a : b;
}

static layout layout_of(const tidepool_depthwise_windows_dsp_params *p)
{
    const tidepool_window *w = &p->window;
    const int32_t pairs = (w->filter_height + 1) / 2;
    layout l;
    l.p = p;
    l.across = (w->filter_height > 1) ? w->filter_width : (w->filter_width + 1) / 2;
    l.column = (w->filter_height > 1) ? w->dilation_width : 2 * w->dilation_width;
    const int32_t reach = (l.across - 1) * l.column;
    const int32_t width = (w->output_width > TIDEPOOL_DSP_PASS) ? w->output_width : TIDEPOOL_DSP_PASS;
    l.remainders = smaller(w->stride_width, reach + 1);
    l.run = (width + reach / w->stride_width + 1) & ~1;
    l.plane = CHANNELS * l.remainders * l.run;
    l.next_row = w->stride_height / p->rows_of_plane;
    l.next_pair = 2 * w->dilation_height / p->rows_of_plane;
    l.deep = (pairs - 1) * l.next_pair + 1;
    return l;
}

/* Where the words of a pair of taps are in a plane, in bytes from that of the result. */
static int32_t offset_of(const layout *l, int32_t y, int32_t x)
{
    const int32_t stride = l->p->window.stride_width;
    const int32_t column = x * l->column;
    return 4 * (y * l->next_pair * l->plane + column % stride * l->run + column / stride);
}

static pair_of_taps pair_at(const tidepool_window *w, int32_t y, int32_t x, int32_t word)
{
    const int32_t tall = (w->filter_height > 1) ? 1 : 0;
    const int32_t one = (tall != 0) ? 2 * y * w->filter_width + x : 2 * x;
    const int32_t other = one + ((tall != 0) ? w->filter_width : 1);
    const int32_t size = w->filter_height * w->filter_width;
    const pair_of_taps pair = {word, (int16_t)one, (int16_t)((other < size) ? other : -1)};
    return pair;
}

/* Lists the filter's pairs of taps in runs of five, three and one, how many of these there are, and
 * writes where they are to a channel's constants. */
static void list_taps(const layout *l, pair_of_taps *taps, int32_t *runs, uint32_t *constants)
{
    const tidepool_window *w = &l->p->window;
    /* Pairs of taps so far apart have their words side by side. */
    const int32_t apart = smaller(
        (w->stride_width % l->column == 0) ? w->stride_width / l->column : l->across, l->across);
    int32_t word = TIDEPOOL_DSP_START;
    int32_t behind = 0; /* the words of the run before */
    for (int32_t kind = 0; kind < TIDEPOOL_DSP_KINDS; ++kind) {
        const int32_t length = 5 - 2 * kind;
        runs[kind] = 0;
        for (int32_t y = 0; y < (w->filter_height + 1) / 2; ++y) {
            for (int32_t first = 0; first < apart; ++first) {
                const int32_t count = (l->across - first + apart - 1) / apart;
                const int32_t fives = count - count % 5;
                const int32_t threes = fives + count % 5 / 3 * 3;
                const int32_t from = (kind == 0) ? 0 : (kind == 1) ? fives : threes;
                const int32_t to = (kind == 0) ? fives : (kind == 1) ? threes : count;
                for (int32_t i = from; i < to; ++i) {
                    const int32_t x = first + i * apart;
                    if ((i - from) % length == 0) {
                        const int32_t offset = offset_of(l, y, x);
                        constants[word++] = (uint32_t)(offset - behind);
                        behind = offset + 4 * (length - 1 + TIDEPOOL_DSP_PASS);
                        ++runs[kind];
                    }
                    *taps++ = pair_at(w, y, x, word++);
                }
            }
        }
    }
}

/* Unpacks four channels of the stream, all but where runs are. */
static void unpack(const int32_t *stream, const pair_of_taps *taps, int32_t pairs, int32_t size,
                   int32_t pitch, uint32_t *constants)
{
    const int32_t *record = stream + size;
    for (int32_t i = 0; i < pairs; ++i) {
        uint32_t halves[CHANNELS];
        const uint32_t other = (taps[i].other < 0) ? 0 : (uint32_t)stream[taps[i].other];
        uint32_t *const word = constants + taps[i].word;
        tidepool_interleave((uint32_t)stream[taps[i].one], other, halves);
        word[0] = halves[0];
        word[pitch] = halves[1];
        word[2 * pitch] = halves[2];
        word[3 * pitch] = halves[3];
    }
    for (int32_t c = 0; c < CHANNELS; ++c) {
        uint32_t *const last = constants + pitch - TIDEPOOL_DSP_RECORD;
        constants[0] = (uint32_t)record[0];
        constants[1] = (uint32_t)record[0];
        constants[2] = (uint32_t)record[0];
        constants[3] = (uint32_t)record[0];
        last[0] = (uint32_t)record[1];
        last[1] = (uint32_t)record[2];
        last[2] = (uint32_t)record[3];
        record += STREAM_RECORD;
        constants += pitch;
    }
}

static int32_t place_in_row(const tidepool_window *w, int32_t x)
{
    return ((uint32_t)x < (uint32_t)w->input_width) ? x * w->input_channels : -1;
}

/* Lists the segments of columns first to end (exclusive). */
static void list_segments(source *s, int32_t first, int32_t end)
{
    const layout *const l = s->l;
    const tidepool_window *const w = &l->p->window;
    const int32_t stride = w->stride_width;
    const int32_t right = (w->filter_height > 1) ? 0 : w->dilation_width;
    for (int32_t remainder = 0; remainder < l->remainders; ++remainder) {
        const int32_t from = (first > remainder) ? (first - remainder + stride - 1) / stride : 0;
        const int32_t x = from * stride + remainder - w->pad_left;
        const int32_t behind = smaller((end - remainder + stride - 1) / stride, l->run);
        if (end > from * stride + remainder && behind > from) {
            const segment found = {behind - from, remainder * l->run + from, place_in_row(w, x),
                                   place_in_row(w, x + right)};
            s->segments[s->count++] = found;
        }
    }
}

/* Lists all segments of a plane. */
static void list_all_segments(source *s)
{
    const tidepool_window *w = &s->l->p->window;
    const int32_t begin = w->pad_left;
    const int32_t end = begin + w->input_width;
    const int32_t right = w->dilation_width;
    const int32_t first = smaller(begin, end - right);
    const int32_t last = begin + end - right - first;
    s->count = 0;
    if (w->filter_height > 1) {
        list_segments(s, begin, end);
    } else {
        list_segments(s, begin - right, first);
        list_segments(s, first, last);
        list_segments(s, last, end);
    }
}

/* Packs a plane, as far as it doesn't lie in the padding to the left and to the right. */
static void pack_plane(const source *s, int32_t y, uint32_t *plane)
{
    const tidepool_window *w = &s->l->p->window;
    const int32_t below = (w->filter_height > 1) ? y + w->dilation_height : y;
    const int32_t row = w->input_width * w->input_channels;
    const int32_t step = w->input_channels * w->stride_width;
    const int32_t is_above = ((uint32_t)y < (uint32_t)w->input_height) ? 1 : 0;
    const int32_t is_below = ((uint32_t)below < (uint32_t)w->input_height) ? 1 : 0;
    tidepool_dsp_row_pair r;
    r.pitch = 4 * s->l->remainders * s->l->run;
    for (int32_t i = 0; i < s->count; ++i) {
        const segment *const part = s->segments + i;
        r.above = s->padding;
        r.below = s->padding;
        r.step_above = 0;
        r.step_below = 0;
        if (is_above != 0 && part->above >= 0) {
            r.above = s->image + (y * row + part->above);
            r.step_above = step;
        }
        if (is_below != 0 && part->below >= 0) {
            r.below = s->image + (below * row + part->below);
            r.step_below = step;
        }
        r.columns = part->columns;
        r.plane = plane + part->word;
        tidepool_dsp_pack(&r);
    }
}

/* Four input channels of one image; `r` has what all rows share. */
static void run_image(const source *s, tidepool_dsp_row r, int8_t *output, uint32_t *planes,
                      const uint32_t *constants)
{
    const layout *const l = s->l;
    const tidepool_depthwise_windows_dsp_params *const p = l->p;
    const tidepool_window *const w = &p->window;
    const int32_t of_four = CHANNELS * (r.constant_bytes / 4);
    int32_t ready = 0;
    int32_t rows = 0;
    for (int32_t y = 0; y < w->output_height; y += rows) {
        rows = smaller(w->output_height - y, p->band);
        const int32_t needed = (rows - 1) * l->next_row + l->deep;
        for (; ready < needed; ++ready) {
            const int32_t in_y = (y * l->next_row + ready) * p->rows_of_plane;
            pack_plane(s, in_y - w->pad_top, planes + ready * l->plane);
        }
        for (int32_t i = 0; i < rows; ++i) {
            for (int32_t m = 0; m < p->depth_multiplier; ++m) {
                r.first_word = planes + i * l->next_row * l->plane;
                r.plane = r.first_word;
                r.first_output = output + m;
                r.output = r.first_output;
                r.constants = constants + m * of_four;
                tidepool_dsp_run_row(&r);
            }
            output += w->output_width * w->output_channels;
        }
        const int32_t passed = smaller(rows * l->next_row, ready);
        ready -= passed;
        tidepool_dsp_move_down(planes, planes + passed * l->plane, 4 * ready * l->plane);
    }
}

TIDEPOOL_KERNEL
void tidepool_depthwise_windows_dsp(const tidepool_depthwise_windows_dsp_params *params,
                                    const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const layout l = layout_of(params);
    const int32_t size = w->filter_height * w->filter_width;
    const int32_t pairs = (w->filter_height + 1) / 2 * l.across;
    const int32_t image = w->input_height * w->input_width * w->input_channels;
    const int32_t result = w->output_height * w->output_width * w->output_channels;
    const int32_t words = l.plane * ((params->band - 1) * l.next_row + l.deep);
    uint32_t *const planes = (uint32_t *)(void *)scratch;
    pair_of_taps *const taps = (pair_of_taps *)(void *)(planes + words);
    uint32_t *const constants = (uint32_t *)(void *)(taps + pairs);
    const uint32_t padding = ((uint32_t)params->input_zero_point & 0xFFFFu) * 0x10001u;
    const uint32_t padding_bytes = ((uint32_t)params->input_zero_point & 0xFFu) * 0x01010101u;
    int8_t padding_pixel[CHANNELS];
    memcpy(padding_pixel, &padding_bytes, sizeof padding_pixel);
    for (int32_t i = 0; i < words; ++i) {
        planes[i] = padding;
    }
    tidepool_dsp_row r;
    list_taps(&l, taps, r.runs, constants);
    const int32_t pitch = TIDEPOOL_DSP_START + pairs + r.runs[0] + r.runs[1] + r.runs[2] +
                          TIDEPOOL_DSP_RECORD;
    for (int32_t i = pitch; i < CHANNELS * params->depth_multiplier * pitch; ++i) {
        constants[i] = constants[i - pitch];
    }
    for (int32_t i = 0; i < 3; ++i) {
        r.steps[i] = (i + 1 < w->output_width) ? (i + 1) * w->output_channels : 0;
    }
    r.advance = TIDEPOOL_DSP_PASS * w->output_channels;
    r.left = w->output_width;
    r.width = w->output_width;
    r.pitch = 4 * l.remainders * l.run;
    r.channels = CHANNELS;
    r.constant_bytes = 4 * pitch;
    r.output_step = params->depth_multiplier;
    source s;
    s.l = &l;
    s.padding = padding_pixel;
    list_all_segments(&s);
    const int32_t *stream = params->stream;
    while (stream != params->stream + params->stream_words) {
        const int32_t channel = *stream++;
        for (int32_t m = 0; m < params->depth_multiplier; ++m) {
            unpack(stream, taps, pairs, size, pitch, constants + m * CHANNELS * pitch);
            stream += size + CHANNELS * STREAM_RECORD;
        }
        s.image = input + channel;
        for (int32_t b = 0; b < w->batches; ++b) {
            run_image(&s, r, output + b * result + channel * params->depth_multiplier, planes,
                      constants);
            s.image += image;
        }
    }
    tidepool_clamp_all(output, w->batches * result, params->output_min, params->output_max);
}
