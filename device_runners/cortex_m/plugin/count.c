/*
 * A QEMU plugin that counts the instructions executed between two markers.
 *
 *   -plugin libcount.so,begin=<address>,end=<address>,out=<file>
 *
 * Whenever the core executes the instruction at `begin` the counter's value is noted; when it
 * executes the one at `end`, the difference is written to `out` as a decimal number on a line of
 * its own. The two marker instructions themselves never count. Each other instruction adds one
 * before it executes: also one that an IT block or MVE predication turns into a no-operation.
 *
 * Debian ships QEMU without qemu-plugin.h, so that the few prototypes needed are declared here.
 * PLUGIN_API is the version of the interface to build for: 1 up to QEMU 8, 2 from QEMU 9 on,
 * where counters belong to a scoreboard with one slot per virtual CPU.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_API
#error "build with -DPLUGIN_API=1 (QEMU 4.2 to 8) or -DPLUGIN_API=2 (QEMU 9 and later)"
#endif

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
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

#if PLUGIN_API == 1
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn,
                                                enum qemu_plugin_op op, void *pointer,
                                                uint64_t immediate);

static uint64_t counter;

static void count_instruction(struct qemu_plugin_insn *insn)
{
    qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &counter, 1);
}

static uint64_t executed(unsigned int vcpu_index)
{
    (void)vcpu_index;
    return counter;
}
#else
struct qemu_plugin_scoreboard;
typedef struct {
    struct qemu_plugin_scoreboard *score;
    size_t offset;
} qemu_plugin_u64;

struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t element_size);
uint64_t qemu_plugin_u64_get(qemu_plugin_u64 entry, unsigned int vcpu_index);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(struct qemu_plugin_insn *insn,
                                                         enum qemu_plugin_op op,
                                                         qemu_plugin_u64 entry,
                                                         uint64_t immediate);

static qemu_plugin_u64 counter;

static void count_instruction(struct qemu_plugin_insn *insn)
{
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, QEMU_PLUGIN_INLINE_ADD_U64, counter,
                                                        1);
}

static uint64_t executed(unsigned int vcpu_index)
{
    return qemu_plugin_u64_get(counter, vcpu_index);
}
#endif

static uint64_t begin_address;
static uint64_t end_address;
static uint64_t begin_count;
static bool counting;
static FILE *out;

static void at_begin(unsigned int vcpu_index, void *userdata)
{
    (void)userdata;
    begin_count = executed(vcpu_index);
    counting = true;
}

static void at_end(unsigned int vcpu_index, void *userdata)
{
    (void)userdata;
    if (counting) {
        fprintf(out, "%" PRIu64 "\n", executed(vcpu_index) - begin_count);
        fflush(out);
        counting = false;
    }
}

static void at_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    const size_t instructions = qemu_plugin_tb_n_insns(tb);
    (void)id;
    for (size_t i = 0; i < instructions; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint64_t address = qemu_plugin_insn_vaddr(insn);
        /* The markers don't count: their callback and an inline add would run in an order that
           differs between QEMU's versions. */
        if (address == begin_address) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, at_begin, QEMU_PLUGIN_CB_NO_REGS, NULL);
        } else if (address == end_address) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, at_end, QEMU_PLUGIN_CB_NO_REGS, NULL);
        } else {
            count_instruction(insn);
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
#if PLUGIN_API != 1
    counter.score = qemu_plugin_scoreboard_new(sizeof(uint64_t));
#endif
    qemu_plugin_register_vcpu_tb_trans_cb(id, at_translation);
    return 0;
}
