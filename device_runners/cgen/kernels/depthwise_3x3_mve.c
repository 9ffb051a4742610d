/* DEPTHWISE_CONV_2D, int8, 3x3 with strides of 1 or 2, for cores with the vector extension.
 *
 * Eight channels at a time, over the whole image: some rows are packed by twos into planes of halves,
 * the padding being the input's zero point, and each channel's results are computed from them
 * (tidepool_mve_tiles.h). The last plane is the first one of the next rows, so that rows of the input
 * are read once, before results take their place. */
#include "tidepool_mve_tiles.h"

/* Two rows of up to eight channels. One that lies in the padding repeats a pixel: its step is 0. */
typedef struct {
    const int8_t *above;
    const int8_t *below;
    int32_t step_above; /* to the next column */
    int32_t step_below;
    int32_t columns;
    int32_t channels;
} row_pair;

#if TIDEPOOL_HAS_MVE

static inline void pack(const row_pair *r, uint16_t *plane)
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

static inline void copy_plane(uint16_t *to, const uint16_t *from, int32_t bytes)
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

static inline void pack(const row_pair *r, uint16_t *plane)
{
    for (int32_t x = 0; x < r->columns; ++x) {
        for (int32_t c = 0; c < r->channels; ++c) {
            const uint32_t above = (uint8_t)r->above[x * r->step_above + c];
            const uint32_t below = (uint8_t)r->below[x * r->step_below + c];
            plane[x * TIDEPOOL_MVE_LANES + c] = (uint16_t)(above | below << 8);
        }
    }
}

static inline void copy_plane(uint16_t *to, const uint16_t *from, int32_t bytes)
{
    memcpy(to, from, (size_t)bytes);
}

#endif

/* Packs rows y and y + 1 of an image, as far as they don't lie in the padding. */
static void pack_rows(const tidepool_window *w, const int8_t *image, const int8_t *padding, int32_t y,
                      row_pair *r, uint16_t *plane)
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
    pack(r, plane + w->pad_left * TIDEPOOL_MVE_LANES);
}

/* Columns of a plane: those under the windows, of a whole tile at least. */
static int32_t columns_of(const tidepool_window *w)
{
    const int32_t tile = (w->stride_width == 1) ? 2 : 4;
    const int32_t width = (w->output_width > tile) ? w->output_width : tile;
    return (width - 1) * w->stride_width + 4;
}

TIDEPOOL_KERNEL
void tidepool_depthwise_3x3_mve(const tidepool_depthwise_3x3_mve_params *params,
                                const int8_t *input, int8_t *output, uint8_t *scratch)
{
    const tidepool_window *w = &params->window;
    const int32_t columns = columns_of(w);
    const int32_t image = w->input_height * w->input_width * w->input_channels;
    const int32_t result = w->output_height * w->output_width * w->output_channels;
    const int32_t rows_of_plane = (w->stride_height == 1) ? 2 : 1;
    const int32_t plane_size = columns * TIDEPOOL_MVE_LANES;
    const int32_t room = columns - w->pad_left;
    uint16_t *const planes = (uint16_t *)(void *)scratch;
    int8_t padding[TIDEPOOL_MVE_LANES];
    tidepool_fill_bytes(padding, params->input_zero_point, TIDEPOOL_MVE_LANES);
    tidepool_fill_bytes((int8_t *)scratch, params->input_zero_point,
                        2 * plane_size * (params->band + 1));
    tidepool_mve_band band = {params, planes, 2 * plane_size, params->records, 0, output, 0};
#if TIDEPOOL_HAS_MVE
    tidepool_mve_tile *const tiles =
        (tidepool_mve_tile *)(void *)(planes + plane_size * (params->band + 1));
    tidepool_mve_list_tiles(&band, tiles);
#endif
    for (int32_t c = 0; c < w->input_channels; c += TIDEPOOL_MVE_LANES) {
        const int32_t left = w->input_channels - c;
        band.channels = (left < TIDEPOOL_MVE_LANES) ? left : TIDEPOOL_MVE_LANES;
        row_pair r = {padding, padding, 0, 0, (w->input_width < room) ? w->input_width : room,
                      band.channels};
        for (int32_t b = 0; b < w->batches; ++b) {
            const int8_t *const from = input + b * image + c;
            int32_t in_y = -w->pad_top;
            band.output = output + b * result + c;
            pack_rows(w, from, padding, in_y, &r, planes);
            for (int32_t y = 0; y < w->output_height; y += band.rows) {
                const int32_t rows_left = w->output_height - y;
                const int32_t most = params->band * rows_of_plane;
                band.rows = (rows_left < most) ? rows_left : most;
                uint16_t *plane = planes;
                for (int32_t packed = 0; packed < band.rows; packed += rows_of_plane) {
                    plane += plane_size;
                    in_y += 2;
                    pack_rows(w, from, padding, in_y, &r, plane);
                }
#if TIDEPOOL_HAS_MVE
                tidepool_mve_run_band(&band, tiles, output);
#else
                tidepool_mve_run_band(&band);
#endif
                band.output += band.rows * w->output_width * w->output_channels;
                copy_plane(planes, plane, band.plane_bytes);
            }
        }
        band.records += TIDEPOOL_MVE_LANES * TIDEPOOL_MVE_RECORD;
    }
    tidepool_clamp_all(output, w->batches * result, params->output_min, params->output_max);
}
