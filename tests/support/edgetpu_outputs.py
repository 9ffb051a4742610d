"""What the Edge TPU compiler printed, recorded from public logs and shortened."""

from __future__ import annotations

START_16 = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.
"""
BODY_16 = """
Model compiled successfully in 3173 ms.

Input model: {stem}.tflite
Input size: 7.37MiB
Output model: {stem}_edgetpu.tflite
Output size: 8.34MiB
On-chip memory used for caching model parameters: 6.08MiB
On-chip memory remaining for caching model parameters: 1.75KiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 2
Total number of operations: 294
Operation log: {stem}_edgetpu.log
"""
PARTLY = """
Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of \
the model will instead run on the CPU, which is slower. If possible, consider updating your model \
to use only operations supported by the Edge TPU. For details, visit g.co/coral/model-reqs.
Number of operations that will run on Edge TPU: 289
Number of operations that will run on CPU: 5
"""
TABLE = """
Operator                       Count      Status

CONCATENATION                  17         Mapped to Edge TPU
DEQUANTIZE                     2          Operation is working on an unsupported data type
QUANTIZE                       3          Operation is otherwise supported, but not mapped due \
to some unspecified limitation
CONV_2D                        272        Mapped to Edge TPU
"""
END_16 = """Compilation child process completed within timeout period.
Compilation succeeded!\x20
"""
FAILED_END_16 = """Compilation child process completed within timeout period.
Compilation failed!\x20
"""
ACTIVATIONS = """ERROR: Restored original execution plan after delegate application failure.
Compilation failed: Compilation failed due to large activation tensors in model.
"""
TIMEOUT = "Compilation timeout. This is usually caused by large activations.\n"
INTERNAL_14 = "Edge TPU Compiler version 14.1.317412892\n\nInternal compiler error. Aborting! \n"
CRASH_16 = """Edge TPU Compiler version 16.0.384591198
/usr/bin/edgetpu_compiler: line 3:  1657 Segmentation fault      (core dumped) \
${d}/edgetpu_compiler_bin/ld-linux-x86-64.so.2 --library-path ${d}/edgetpu_compiler_bin \
${d}/edgetpu_compiler_bin/edgetpu_compiler "$@"
"""
SUCCESS_16 = START_16 + BODY_16 + PARTLY + TABLE + END_16
FAILED_16 = START_16 + ACTIVATIONS + FAILED_END_16

SEARCH_16 = f"""Edge TPU Compiler version 16.0.384591198
Searching for valid delegate with step 10
Try to compile segment with 294 ops
Started a compilation timeout timer of 180 seconds.
{ACTIVATIONS}{FAILED_END_16}Try to compile segment with 284 ops
Intermediate tensors: tfl.dequantize,Sigmoid1
Started a compilation timeout timer of 180 seconds.
{FAILED_END_16}Try to compile segment with 274 ops
Intermediate tensors: Relu6_12;box-0-bn-7/FusedBatchNormV3;box-0/BiasAdd_4,Reshape_3,y
Started a compilation timeout timer of 180 seconds.
{BODY_16}{PARTLY}{TABLE}{END_16}"""

TOGETHER_16 = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Models compiled successfully in 524 ms.

Input model: models/first.tflite
Input size: 1.91MiB
Output model: together/first_edgetpu.tflite
Output size: 2.52MiB
On-chip memory used for caching model parameters: 2.27MiB
On-chip memory remaining for caching model parameters: 1.07MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 57
Operation log: together/first_edgetpu.log
See the operation log file for individual operation details.

Input model: models/second.tflite
Input size: 1.87MiB
Output model: together/second_edgetpu.tflite
Output size: 2.06MiB
On-chip memory used for caching model parameters: 2.00MiB
On-chip memory remaining for caching model parameters: 1.07MiB
Off-chip memory used for streaming uncached model parameters: 158.06KiB
Number of Edge TPU subgraphs: 1
Total number of operations: 6
Operation log: together/second_edgetpu.log
See the operation log file for individual operation details.
Compilation child process completed within timeout period.
Compilation succeeded!\x20
"""

SEGMENTS_16 = """Edge TPU Compiler version 16.0.384591198
Searching for valid delegate with step 10
Try to compile segment with 84 ops
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 2270 ms.

Input model: {stem}_segment_0_of_2.tflite
Input size: 5.21MiB
Output model: {stem}_segment_0_of_2_edgetpu.tflite
Output size: 6.51MiB
On-chip memory used for caching model parameters: 6.02MiB
On-chip memory remaining for caching model parameters: 1.02MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 84
Operation log: {stem}_segment_0_of_2_edgetpu.log

Operator                       Count      Status

QUANTIZE                       1          Mapped to Edge TPU
DEPTHWISE_CONV_2D              22         Mapped to Edge TPU
ADD                            15         Mapped to Edge TPU
CONV_2D                        46         Mapped to Edge TPU
Compilation child process completed within timeout period.
Compilation succeeded!\x20
Searching for valid delegate with step 10
Try to compile segment with 340 ops
Started a compilation timeout timer of 180 seconds.
ERROR: Restored original execution plan after delegate application failure.
Compilation failed: Compilation failed due to large activation tensors in model.
Compilation child process completed within timeout period.
Compilation failed!\x20
Try to compile segment with 330 ops
Intermediate tensors: tfl.dequantize,Reshape,Reshape_8
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 1500 ms.

Input model: {stem}_segment_1_of_2.tflite
Input size: 1.00MiB
Output model: {stem}_segment_1_of_2_edgetpu.tflite
Output size: 1.50MiB
On-chip memory used for caching model parameters: 1.00MiB
On-chip memory remaining for caching model parameters: 6.00MiB
Off-chip memory used for streaming uncached model parameters: 2.00KiB
Number of Edge TPU subgraphs: 1
Total number of operations: 340
Operation log: {stem}_segment_1_of_2_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU.
Number of operations that will run on Edge TPU: 330
Number of operations that will run on CPU: 10

Operator                       Count      Status

CONV_2D                        330        Mapped to Edge TPU
QUANTIZE                       10         More than one subgraph is not supported
Compilation child process completed within timeout period.
Compilation succeeded!\x20
"""

SUCCESS_2 = """Edge TPU Compiler version 2.0.267685300

Model compiled successfully in 231 ms.

Input model: {stem}.tflite
Input size: 3.03KiB
Output model: {stem}_edgetpu.tflite
Output size: 296.85KiB
On-chip memory available for caching model parameters: 1.75MiB
On-chip memory used for caching model parameters: 10.00KiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 3
Operation log: {stem}_edgetpu.log
See the operation log file for individual operation details.
"""
LOG_2 = """    Edge TPU Compiler version 2.0.267685300
    Input: quantized.tflite
    Output: quantized_edgetpu.tflite
    Operator                       Count      Status
    RESIZE_NEAREST_NEIGHBOR        1          Mapped to Edge TPU
    MAX_POOL_2D                    6          Mapped to Edge TPU
    CONV_2D                        13         Mapped to Edge TPU
"""
SUCCESS_15 = """Edge TPU Compiler version 15.0.340273435

Model compiled successfully in 787 ms.

Input model: {stem}.tflite
Input size: 1.30MiB
Output model: {stem}_edgetpu.tflite
Output size: 1.54MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 31
Operation log: {stem}_edgetpu.log
See the operation log file for individual operation details.
"""
SEGMENT_WARNING_15 = (
    "Warning: For the given model, you're creating more segments than is necessary, which can "
    "increase the latency."
)
NOT_QUANTIZED_1 = """Edge TPU Compiler version 1.0.249710469

INFO: Initialized TensorFlow Lite runtime.

Invalid model: mnasnet_0.5_224.tflite

Model not quantized
"""
