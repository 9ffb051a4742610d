"""One op, one file: what it accepts, and the kernel call that it becomes."""
