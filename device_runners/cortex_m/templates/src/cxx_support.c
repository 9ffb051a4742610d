/*
 * What C++ code expects of an operating system (RUNTIME=tflm only). Objects with static storage are
 * never destroyed, since main() doesn't return to anybody.
 */
#include "semihosting.h"

extern void *__dso_handle;
void *__dso_handle;

__attribute__((noreturn)) void _exit(int code);

void _exit(int code)
{
    semihosting_exit((uint32_t)code);
}
