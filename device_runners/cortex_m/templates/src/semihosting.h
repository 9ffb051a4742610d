/*
 * Semihosting: the debugger (here: QEMU) opens, reads and writes files of the host for us.
 * After "Semihosting for AArch32 and AArch64", Arm; only the calls that this firmware uses.
 */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    SEMIHOSTING_READ_BINARY = 1, /* "rb" */
    SEMIHOSTING_WRITE_BINARY = 5 /* "wb" */
} semihosting_mode;

/* Opens a file in the emulator's current directory; a negative handle means failure. */
int32_t semihosting_open(const char *path, semihosting_mode mode);
int32_t semihosting_close(int32_t handle);

/* The file's length in bytes; negative on failure. */
int32_t semihosting_length(int32_t handle);

/* Return the number of bytes that were NOT read or written: 0 is success. */
uint32_t semihosting_read(int32_t handle, void *buffer, uint32_t bytes);
uint32_t semihosting_write(int32_t handle, const void *buffer, uint32_t bytes);

/* Text for the console; semihosting has no printf, and neither do we. */
void semihosting_print(const char *text);
void semihosting_print_hex(uint32_t value);
void semihosting_print_decimal(uint32_t value);

/* Ends the emulation with this exit code of the process. */
__attribute__((noreturn)) void semihosting_exit(uint32_t code);

#ifdef __cplusplus
}
#endif

#endif
