# Finds TensorFlow Lite Micro as upstream's Makefile built it, and checks that it fits the board.
#
#   TFLM_ROOT      a tree of tflite-micro (a CMake or an environment variable)
#   TFLM_LIBRARY   libtensorflow-microlite.a; by default the newest that fits the board under
#                  TFLM_ROOT/gen/cortex_m_generic_<TARGET_ARCH>_*/lib
#
# Needs BOARD_FLAGS and BOARD_TFLM_TARGET_ARCH. Defines the target TFLM::microlite, with the
# headers and the definitions that the library was compiled with.

if(NOT TFLM_ROOT AND DEFINED ENV{TFLM_ROOT})
  set(TFLM_ROOT $ENV{TFLM_ROOT})
endif()

# Lines that begin with a space are printed as they are, without breaking them.
string(CONCAT TFLM_HOW_TO_BUILD
  "  Upstream builds the library for this board with, in a tree of tflite-micro:\n"
  "    make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic "
  "TARGET_ARCH=${BOARD_TFLM_TARGET_ARCH} OPTIMIZED_KERNEL_DIR=cmsis_nn BUILD_TYPE=release microlite\n"
  "  Then: cmake ... -DRUNTIME=tflm -DTFLM_ROOT=<that tree>")

function(tflm_fail text)
  message(FATAL_ERROR "  TFLM: ${text}\n${TFLM_HOW_TO_BUILD}")
endfunction()

if(NOT TFLM_ROOT)
  tflm_fail("TFLM_ROOT isn't set.")
endif()
if(NOT EXISTS ${TFLM_ROOT}/tensorflow/lite/micro/micro_interpreter.h)
  tflm_fail("TFLM_ROOT=${TFLM_ROOT} is no tree of tflite-micro: it has no tensorflow/lite/micro/micro_interpreter.h.")
endif()

if(NOT TFLM_LIBRARY)
  # GLOB reads + as itself; a list sorted in descending order prefers a release with CMSIS-NN.
  file(GLOB TFLM_CANDIDATES
    "${TFLM_ROOT}/gen/cortex_m_generic_${BOARD_TFLM_TARGET_ARCH}_*/lib/libtensorflow-microlite.a")
  list(FILTER TFLM_CANDIDATES EXCLUDE REGEX "no_tf_lite_static_memory")
  if(NOT TFLM_CANDIDATES)
    tflm_fail("no gen/cortex_m_generic_${BOARD_TFLM_TARGET_ARCH}_*/lib/libtensorflow-microlite.a under ${TFLM_ROOT}.")
  endif()
  set(TFLM_PREFERRED ${TFLM_CANDIDATES})
  list(FILTER TFLM_PREFERRED INCLUDE REGEX "_release_cmsis_nn_")
  if(NOT TFLM_PREFERRED)
    set(TFLM_PREFERRED ${TFLM_CANDIDATES})
  endif()
  list(GET TFLM_PREFERRED 0 TFLM_LIBRARY)
endif()
if(NOT EXISTS ${TFLM_LIBRARY})
  tflm_fail("TFLM_LIBRARY=${TFLM_LIBRARY} doesn't exist.")
endif()

# The values of one build attribute over all objects of a file; "none" when it is absent.
function(tflm_attribute report tag result)
  string(REGEX MATCHALL "${tag}: [^\n]+" lines "${report}")
  list(REMOVE_DUPLICATES lines)
  list(TRANSFORM lines REPLACE "${tag}: " "")
  list(JOIN lines ", " joined)
  if(joined STREQUAL "")
    set(joined "none")
  endif()
  set(${result} ${joined} PARENT_SCOPE)
endfunction()

function(tflm_run result)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    tflm_fail("${command} failed: ${errors}")
  endif()
  set(${result} "${output}" PARENT_SCOPE)
endfunction()

# An empty object, compiled for the board, has the attributes that the library must have.
set(TFLM_PROBE ${CMAKE_CURRENT_BINARY_DIR}/tflm_probe)
file(WRITE ${TFLM_PROBE}.c "int tflm_probe;\n")
tflm_run(TFLM_IGNORED ${CMAKE_C_COMPILER} ${BOARD_FLAGS} -c ${TFLM_PROBE}.c -o ${TFLM_PROBE}.o)
tflm_run(TFLM_BOARD_REPORT ${CMAKE_READELF} -A ${TFLM_PROBE}.o)
tflm_run(TFLM_LIBRARY_REPORT ${CMAKE_READELF} -A ${TFLM_LIBRARY})
list(JOIN BOARD_FLAGS " " TFLM_WANTED_FLAGS)
foreach(tag Tag_CPU_arch Tag_ABI_VFP_args Tag_FP_arch Tag_ABI_HardFP_use Tag_MVE_arch)
  tflm_attribute("${TFLM_BOARD_REPORT}" ${tag} wanted)
  tflm_attribute("${TFLM_LIBRARY_REPORT}" ${tag} found)
  if(NOT wanted STREQUAL found)
    tflm_fail("${TFLM_LIBRARY} was built for another core or float ABI than ${BOARD} (${TFLM_WANTED_FLAGS}): ${tag} is '${found}', the board needs '${wanted}'.")
  endif()
endforeach()

# Definitions that the headers share with the library. Without TF_LITE_STATIC_MEMORY structures
# have another layout: that links and then faults. Without CMSIS_NN the resolver registers generic
# kernels beside the optimized ones.
set(TFLM_DEFINITIONS TF_LITE_STATIC_MEMORY NDEBUG)
tflm_run(TFLM_SYMBOLS ${CMAKE_NM} --defined-only ${TFLM_LIBRARY})
if(TFLM_SYMBOLS MATCHES " T arm_convolve_wrapper_s8\n")
  list(APPEND TFLM_DEFINITIONS CMSIS_NN)
  set(TFLM_HAS_CMSIS_NN TRUE)
else()
  set(TFLM_HAS_CMSIS_NN FALSE)
endif()
if(NOT TFLM_SYMBOLS MATCHES " T DebugVsnprintf\n")
  list(APPEND TFLM_DEFINITIONS TF_LITE_STRIP_ERROR_STRINGS)
endif()

set(TFLM_INCLUDES ${TFLM_ROOT})
foreach(folder flatbuffers/include gemmlowp ruy kissfft)
  set(folder ${TFLM_ROOT}/tensorflow/lite/micro/tools/make/downloads/${folder})
  if(NOT IS_DIRECTORY ${folder})
    tflm_fail("the headers in ${folder} are missing, which upstream's Makefile downloads.")
  endif()
  list(APPEND TFLM_INCLUDES ${folder})
endforeach()
add_library(TFLM::microlite STATIC IMPORTED)
set_target_properties(TFLM::microlite PROPERTIES
  IMPORTED_LOCATION ${TFLM_LIBRARY}
  INTERFACE_COMPILE_DEFINITIONS "${TFLM_DEFINITIONS}"
  INTERFACE_INCLUDE_DIRECTORIES "${TFLM_INCLUDES}"
  INTERFACE_LINK_LIBRARIES m)
set(TFLM_FOUND TRUE)
message(STATUS "TFLM: ${TFLM_LIBRARY} (CMSIS-NN: ${TFLM_HAS_CMSIS_NN})")
