/*
 * Runs the model on every sample of inputs.bin and writes outputs.bin.
 *
 * inputs.bin    for each sample all inputs, one after the other, as raw bytes
 * outputs.bin   for each sample all outputs, likewise
 * ticks.bin     for each sample the cycles of the inference, by DWT or SysTick (uint32, little-endian)
 * trace.bin     every tensor, when compiled with TIDEPOOL_TRACE (see trace.h)
 *
 * Ends with one line of JSON on the console. Exit code 0: all samples are through; 2: a file is
 * missing or doesn't fit the model; 4: the runtime failed; 3: a fault (startup.c).
 *
 * Compiled with TIDEPOOL_MEASURE_SETUP, it measures the runtime's start instead of the inference:
 * instructions, ticks and stack are those of runtime_setup(), and nothing is inferred.
 */
#include <stdint.h>

#include "measure.h"
#include "runtime.h"
#include "semihosting.h"
#ifdef TIDEPOOL_TRACE
#include "trace.h"
#endif

enum { EXIT_CODE_FILES = 2, EXIT_CODE_RUNTIME = 4 };

#ifdef TIDEPOOL_MEASURE_SETUP
enum { MEASURES_SETUP = 1 };
#else
enum { MEASURES_SETUP = 0 };
#endif

typedef struct {
    int status;
    uint32_t ticks;
    uint32_t stack_bytes; /* what the function and all it calls took of the stack */
} measurement;

typedef struct {
    int32_t inputs;
    int32_t outputs;
    int32_t ticks;
} files;

static _Noreturn void fail(uint32_t code, const char *message)
{
    semihosting_print("ERROR ");
    semihosting_print(message);
    semihosting_print("\n");
    semihosting_exit(code);
}

static uint32_t input_bytes(void)
{
    uint32_t bytes = 0;
    for (uint32_t k = 0; k < runtime_input_count(); k++) {
        bytes += runtime_input(k).bytes;
    }
    return bytes;
}

static files open_files(void)
{
    const files opened = {
        .inputs = semihosting_open("inputs.bin", SEMIHOSTING_READ_BINARY),
        .outputs = semihosting_open("outputs.bin", SEMIHOSTING_WRITE_BINARY),
        .ticks = semihosting_open("ticks.bin", SEMIHOSTING_WRITE_BINARY),
    };
    if (opened.inputs < 0) {
        fail(EXIT_CODE_FILES, "can't open inputs.bin in the current directory");
    }
    if (opened.outputs < 0 || opened.ticks < 0) {
        fail(EXIT_CODE_FILES, "can't write outputs.bin and ticks.bin in the current directory");
    }
    return opened;
}

static uint32_t count_samples(int32_t inputs)
{
    const int32_t length = semihosting_length(inputs);
    const uint32_t sample_bytes = input_bytes();
    uint32_t count = 0u;
    uint32_t left = (uint32_t)length;
    /* No division: on some cores a library has it, whose code would count as the model's. */
    while (length >= 0 && sample_bytes > 0u && left >= sample_bytes) {
        left -= sample_bytes;
        count++;
    }
    if (length < 0 || sample_bytes == 0u || left != 0u) {
        semihosting_print("ERROR inputs.bin has ");
        semihosting_print_decimal((uint32_t)length);
        semihosting_print(" bytes, which is no multiple of a sample's ");
        semihosting_print_decimal(sample_bytes);
        semihosting_print("\n");
        semihosting_exit(EXIT_CODE_FILES);
    }
    return count;
}

static void read_inputs(int32_t file)
{
    for (uint32_t k = 0; k < runtime_input_count(); k++) {
        const runtime_buffer input = runtime_input(k);
        if (semihosting_read(file, input.data, input.bytes) != 0u) {
            fail(EXIT_CODE_FILES, "inputs.bin ended early");
        }
    }
}

static void write_outputs(int32_t file)
{
    for (uint32_t k = 0; k < runtime_output_count(); k++) {
        const runtime_buffer output = runtime_output(k);
        if (semihosting_write(file, output.data, output.bytes) != 0u) {
            fail(EXIT_CODE_FILES, "can't write outputs.bin");
        }
    }
}

static measurement measure(int (*function)(void))
{
    measurement result;
    measure_stack_paint();
    measure_ticks_start();
    result.status = function();
    result.ticks = measure_ticks_stop();
    result.stack_bytes = measure_stack_bytes();
    return result;
}

/* The same markers as those around the inference, which isn't run then. */
static int counted_setup(void)
{
    tidepool_count_begin();
    const int status = runtime_setup();
    tidepool_count_end();
    return status;
}

static measurement set_up(void)
{
    const measurement setup = measure(MEASURES_SETUP ? counted_setup : runtime_setup);
    if (setup.status != 0) {
        fail(EXIT_CODE_RUNTIME, "the runtime can't be set up");
    }
    return setup;
}

/* Returns the stack of what was measured, in bytes. */
static uint32_t run_sample(const files *opened, const measurement *setup)
{
    runtime_reset();
    read_inputs(opened->inputs);
    const measurement run = MEASURES_SETUP ? *setup : measure(runtime_invoke);
    if (run.status != 0) {
        fail(EXIT_CODE_RUNTIME, "the runtime's invoke failed");
    }
    write_outputs(opened->outputs);
    if (semihosting_write(opened->ticks, &run.ticks, (uint32_t)sizeof(run.ticks)) != 0u) {
        fail(EXIT_CODE_FILES, "can't write ticks.bin");
    }
    return run.stack_bytes;
}

static void print_field(const char *name, uint32_t value)
{
    semihosting_print(name);
    semihosting_print_decimal(value);
}

int main(void)
{
    const measurement setup = set_up();
    const files opened = open_files();
    const uint32_t samples = count_samples(opened.inputs);
#ifdef TIDEPOOL_TRACE
    if (trace_open() != 0) {
        fail(EXIT_CODE_FILES, "can't write trace.bin in the current directory");
    }
#endif

    uint32_t stack_bytes = 0;
    for (uint32_t sample = 0; sample < samples; sample++) {
#ifdef TIDEPOOL_TRACE
        trace_sample(sample);
#endif
        const uint32_t stack = run_sample(&opened, &setup);
        if (stack > stack_bytes) {
            stack_bytes = stack;
        }
    }

#ifdef TIDEPOOL_TRACE
    trace_close();
#endif
    (void)semihosting_close(opened.inputs);
    (void)semihosting_close(opened.outputs);
    (void)semihosting_close(opened.ticks);

    print_field("{\"samples\": ", samples);
    print_field(", \"stack_bytes\": ", stack_bytes);
    print_field(", \"arena_bytes\": ", runtime_arena_bytes());
    semihosting_print("}\n");
    return 0;
}
