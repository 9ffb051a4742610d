# Finds TensorFlow Lite Micro as upstream's Makefile built it, and checks that it fits the board.
#
#   TFLM_ROOT      a tree of tflite-micro (a CMake or an environment variable)
#   TFLM_KERNELS   cmsis_nn or reference; by default CMSIS-NN where a library has it
#   TFLM_LIBRARY   libtensorflow-microlite.a; by default the one of these kernels, a release before
#                  other builds, in TFLM_ROOT/gen/cortex_m_generic_<TARGET_ARCH>_*/lib
#
# Needs BOARD_FLAGS and BOARD_TFLM_TARGET_ARCH. Defines the target TFLM::microlite, with the
# headers and the definitions that the library was compiled with, and writes tflm_library.json, which
# says what was found.

set(TFLM_KERNELS "" CACHE STRING "cmsis_nn or reference; empty: CMSIS-NN where a library has it")
set(TFLM_LIBRARY "" CACHE FILEPATH "libtensorflow-microlite.a; empty: found under TFLM_ROOT")

if(NOT TFLM_ROOT AND DEFINED ENV{TFLM_ROOT})
  set(TFLM_ROOT $ENV{TFLM_ROOT})
endif()

if(NOT TFLM_KERNELS STREQUAL "reference")
  set(TFLM_MAKE_KERNELS "OPTIMIZED_KERNEL_DIR=cmsis_nn ")
endif()
# Lines that begin with a space are printed as they are, without breaking them.
string(CONCAT TFLM_HOW_TO_BUILD
  "  Upstream builds the library for this board with, in a tree of tflite-micro:\n"
  "    make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic "
  "TARGET_ARCH=${BOARD_TFLM_TARGET_ARCH} ${TFLM_MAKE_KERNELS}BUILD_TYPE=release microlite\n"
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
if(NOT TFLM_KERNELS STREQUAL "" AND NOT TFLM_KERNELS MATCHES "^(cmsis_nn|reference)$")
  tflm_fail("TFLM_KERNELS=${TFLM_KERNELS}: choose cmsis_nn or reference.")
endif()

if(NOT TFLM_LIBRARY)
  # Upstream calls its folder cortex_m_generic_<TARGET_ARCH>_<BUILD_TYPE>[_<kernels>]_<toolchain>.
  # GLOB reads + as itself.
  file(GLOB TFLM_CANDIDATES
    "${TFLM_ROOT}/gen/cortex_m_generic_${BOARD_TFLM_TARGET_ARCH}_*/lib/libtensorflow-microlite.a")
  # In the folder's name, wherever the tree may lie.
  set(TFLM_IS_CMSIS_NN "_cmsis_nn_[^/]*/lib/[^/]*$")
  set(TFLM_IS_RELEASE "_release_[^/]*/lib/[^/]*$")
  set(TFLM_WANTED "")
  if(TFLM_KERNELS STREQUAL "cmsis_nn")
    list(FILTER TFLM_CANDIDATES INCLUDE REGEX "${TFLM_IS_CMSIS_NN}")
    set(TFLM_WANTED " with CMSIS-NN")
  elseif(TFLM_KERNELS STREQUAL "reference")
    list(FILTER TFLM_CANDIDATES EXCLUDE REGEX "${TFLM_IS_CMSIS_NN}")
    set(TFLM_WANTED " with the reference kernels")
  endif()
  if(NOT TFLM_CANDIDATES)
    tflm_fail("no library${TFLM_WANTED} for this board: no gen/cortex_m_generic_${BOARD_TFLM_TARGET_ARCH}_*/lib/libtensorflow-microlite.a under ${TFLM_ROOT}.")
  endif()
  foreach(preference ${TFLM_IS_CMSIS_NN} ${TFLM_IS_RELEASE})
    set(preferred ${TFLM_CANDIDATES})
    list(FILTER preferred INCLUDE REGEX "${preference}")
    if(preferred)
      set(TFLM_CANDIDATES ${preferred})
    endif()
  endforeach()
  list(GET TFLM_CANDIDATES 0 TFLM_LIBRARY)
endif()
if(NOT EXISTS ${TFLM_LIBRARY})
  tflm_fail("TFLM_LIBRARY=${TFLM_LIBRARY} doesn't exist.")
endif()

function(tflm_run result)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    tflm_fail("${command} failed: ${errors}")
  endif()
  set(${result} "${output}" PARENT_SCOPE)
endfunction()

# The values that a build attribute has over all objects of a file; "none" is that of an object
# without it.
function(tflm_attribute report tag result)
  string(REGEX MATCHALL "Attribute Section" objects "${report}")
  string(REGEX MATCHALL "${tag}: [^\n]+" values "${report}")
  list(LENGTH objects object_count)
  list(LENGTH values value_count)
  list(REMOVE_DUPLICATES values)
  list(TRANSFORM values REPLACE "${tag}: " "")
  if(value_count LESS object_count OR object_count EQUAL 0)
    list(APPEND values none)
  endif()
  list(JOIN values ", " joined)
  set(${result} ${joined} PARENT_SCOPE)
endfunction()

# An empty object, compiled for the board, has the attributes that the library must have.
set(TFLM_PROBE ${CMAKE_CURRENT_BINARY_DIR}/tflm_probe)
file(WRITE ${TFLM_PROBE}.c "int tflm_probe;\n")
tflm_run(TFLM_IGNORED ${CMAKE_C_COMPILER} ${BOARD_FLAGS} -c ${TFLM_PROBE}.c -o ${TFLM_PROBE}.o)
tflm_run(TFLM_BOARD_REPORT ${CMAKE_READELF} -A ${TFLM_PROBE}.o)
tflm_run(TFLM_LIBRARY_REPORT ${CMAKE_READELF} -A ${TFLM_LIBRARY})
set(TFLM_DIFFERENCES "")
foreach(tag Tag_CPU_arch Tag_FP_arch Tag_ABI_HardFP_use Tag_ABI_VFP_args Tag_MVE_arch
            Tag_ABI_enum_size)
  tflm_attribute("${TFLM_BOARD_REPORT}" ${tag} wanted)
  tflm_attribute("${TFLM_LIBRARY_REPORT}" ${tag} found)
  if(NOT wanted STREQUAL found)
    string(APPEND TFLM_DIFFERENCES "\n    ${tag} is '${found}', the board needs '${wanted}'")
  endif()
endforeach()
if(TFLM_DIFFERENCES)
  list(JOIN BOARD_FLAGS " " TFLM_WANTED_FLAGS)
  tflm_fail("${TFLM_LIBRARY} was built for another core or float ABI than ${BOARD} (${TFLM_WANTED_FLAGS}):${TFLM_DIFFERENCES}")
endif()

# Definitions that the headers share with the library. Without TF_LITE_STATIC_MEMORY structures
# have another layout: that links and then faults. Without CMSIS_NN the resolver registers generic
# kernels beside the optimized ones.
set(TFLM_DEFINITIONS TF_LITE_STATIC_MEMORY NDEBUG)
tflm_run(TFLM_SYMBOLS ${CMAKE_NM} --defined-only ${TFLM_LIBRARY})
# common.cc defines this function only without TF_LITE_STATIC_MEMORY.
if(TFLM_SYMBOLS MATCHES " T TfLiteIntArrayCreate\n")
  tflm_fail("${TFLM_LIBRARY} was built without TF_LITE_STATIC_MEMORY: it would link, and fault on the board.")
endif()
if(TFLM_SYMBOLS MATCHES " T arm_convolve_wrapper_s8\n")
  list(APPEND TFLM_DEFINITIONS CMSIS_NN)
  set(TFLM_FOUND_KERNELS cmsis_nn)
else()
  set(TFLM_FOUND_KERNELS reference)
endif()
if(TFLM_KERNELS AND NOT TFLM_KERNELS STREQUAL TFLM_FOUND_KERNELS)
  tflm_fail("${TFLM_LIBRARY} has the kernels ${TFLM_FOUND_KERNELS}, TFLM_KERNELS=${TFLM_KERNELS} asks for others.")
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
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/tflm_library.json
  "{\"library\": \"${TFLM_LIBRARY}\", \"kernels\": \"${TFLM_FOUND_KERNELS}\"}\n")
message(STATUS "TFLM: ${TFLM_LIBRARY} (kernels: ${TFLM_FOUND_KERNELS})")
