/*
 * A QEMU plugin that counts the instructions executed between two markers, and what they would take
 * on a Cortex-M4 (m4_timing.h).
 *
 *   -plugin libcount.so,begin=<address>,end=<address>,out=<file>
 *
 * Whenever the core executes the instruction at `begin` both counters start from zero; when it
 * executes the one at `end`, they are written to `out` as two decimal numbers on a line: the
 * instructions, the cycles. The two marker instructions themselves never count. Each other
 * instruction adds one before it executes: also one that an IT block or MVE predication turns into a
 * no-operation, which counts its full cycles, too.
 *
 * Instructions are translated, and executed, by blocks. Each block is summed up once, when it is
 * translated; executing it adds the sums. A branch is taken where the next block isn't the one that
 * lies behind in memory.
 *
 * Debian ships QEMU without qemu-plugin.h, so that the few prototypes needed are declared here.
 * PLUGIN_API is the version of the interface to build for: 1 up to QEMU 8, 2 for QEMU 9.0, 3 from
 * QEMU 9.1 on, where an instruction's bytes are copied out.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "m4_timing.h"

#ifndef PLUGIN_API
#error "build with -DPLUGIN_API=1 (QEMU 4.2 to 8), 2 (QEMU 9.0) or 3 (QEMU 9.1 and later)"
#endif

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*vcpu_udata_cb)(unsigned int vcpu_index, void *userdata);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, vcpu_udata_cb callback,
                                            enum qemu_plugin_cb_flags flags, void *userdata);

EXPORT int qemu_plugin_version = PLUGIN_API;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
                               char **argv);

#if PLUGIN_API <= 2
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

static size_t copy_instruction(const struct qemu_plugin_insn *insn, uint8_t bytes[4])
{
    const size_t size = qemu_plugin_insn_size(insn);
    memcpy(bytes, qemu_plugin_insn_data(insn), size < 4u ? size : 4u);
    return size;
}
#else
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *bytes, size_t size);

static size_t copy_instruction(const struct qemu_plugin_insn *insn, uint8_t bytes[4])
{
    return qemu_plugin_insn_data(insn, bytes, 4);
}
#endif

/*
 * Instructions that are always executed together.
 *
 * address       of the first
 * behind        address of what lies behind the last
 * instructions  how many
 * cycles        of them all, behind an unrelated instruction
 * first, last   their timing
 */
struct block {
    uint64_t address;
    uint64_t behind;
    uint64_t instructions;
    uint64_t cycles;
    struct timing first;
    struct timing last;
};

static uint64_t begin_address;
static uint64_t end_address;
static FILE *out;

/* One core executes: its counters, and the block before. NULL before the first. */
static bool counting;
static uint64_t instructions;
static uint64_t cycles;
static const struct block *before;

/* Returns whether execution came to an address from the block that lies before it in memory. */
static bool came_straight_to(uint64_t address)
{
    if (before == NULL || before->behind == address) {
        return before != NULL;
    }
    cycles += before->last.refill;
    return false;
}

static void at_block(unsigned int vcpu_index, void *userdata)
{
    const struct block *block = userdata;
    (void)vcpu_index;
    if (!counting) {
        return;
    }
    if (came_straight_to(block->address)) {
        cycles += (uint64_t)(int64_t)timing_between(&before->last, &block->first);
    }
    instructions += block->instructions;
    cycles += block->cycles;
    before = block;
}

static void at_begin(unsigned int vcpu_index, void *userdata)
{
    (void)vcpu_index;
    (void)userdata;
    counting = true;
    instructions = 0;
    cycles = 0;
    before = NULL;
}

static void at_end(unsigned int vcpu_index, void *userdata)
{
    (void)vcpu_index;
    (void)userdata;
    if (counting) {
        (void)came_straight_to(end_address);
        fprintf(out, "%" PRIu64 " %" PRIu64 "\n", instructions, cycles);
        fflush(out);
        counting = false;
    }
}

static struct timing read_timing(const struct qemu_plugin_insn *insn)
{
    uint8_t bytes[4] = {0};
    (void)copy_instruction(insn, bytes);
    return timing_of((uint16_t)(bytes[0] | bytes[1] << 8), (uint16_t)(bytes[2] | bytes[3] << 8));
}

static void append(struct block *block, const struct qemu_plugin_insn *insn)
{
    const struct timing timing = read_timing(insn);
    if (block->instructions == 0u) {
        block->first = timing;
    } else {
        block->cycles += (uint64_t)(int64_t)timing_between(&block->last, &timing);
    }
    block->last = timing;
    block->instructions++;
    block->cycles += timing.cycles;
    block->behind = qemu_plugin_insn_vaddr(insn) + timing.bytes;
}

/* A new block that starts at an instruction. It is never freed: translated code may return to it. */
static struct block *start_block(struct qemu_plugin_insn *insn)
{
    struct block *block = calloc(1, sizeof *block);
    if (block == NULL) {
        fprintf(stderr, "count: out of memory\n");
        exit(1);
    }
    block->address = qemu_plugin_insn_vaddr(insn);
    qemu_plugin_register_vcpu_insn_exec_cb(insn, at_block, QEMU_PLUGIN_CB_NO_REGS, block);
    return block;
}

/* The markers are in no block: what counts starts behind the one and ends before the other. */
static void at_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    const size_t count = qemu_plugin_tb_n_insns(tb);
    struct block *block = NULL;
    (void)id;
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint64_t address = qemu_plugin_insn_vaddr(insn);
        if (address == begin_address) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, at_begin, QEMU_PLUGIN_CB_NO_REGS, NULL);
            block = NULL;
        } else if (address == end_address) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, at_end, QEMU_PLUGIN_CB_NO_REGS, NULL);
            block = NULL;
        } else {
            block = block == NULL ? start_block(insn) : block;
            append(block, insn);
        }
    }
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
    const char *path = NULL;
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "begin=", 6) == 0) {
            begin_address = strtoull(argv[i] + 6, NULL, 0);
        } else if (strncmp(argv[i], "end=", 4) == 0) {
            end_address = strtoull(argv[i] + 4, NULL, 0);
        } else if (strncmp(argv[i], "out=", 4) == 0) {
            path = argv[i] + 4;
        }
    }
    if (path == NULL || begin_address == end_address) {
        fprintf(stderr, "count: needs begin=<address>,end=<address>,out=<file>\n");
        return 1;
    }
    out = fopen(path, "w");
    if (out == NULL) {
        fprintf(stderr, "count: can't write %s\n", path);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, at_translation);
    return 0;
}
