# TensorRT's headers: named, found on the machine, or fetched. Never part of this repository, and nothing is linked.
set(tensorrt_headers "")
if(BEVDEPLOY_FETCH_TENSORRT_HEADERS)
  # NVIDIA tags 10.0 to 10.10 with a patch number, later versions mostly without
  set(version ${BEVDEPLOY_FETCH_TENSORRT_HEADERS})
  set(folder ${CMAKE_BINARY_DIR}/tensorrt-${version})
  if(NOT EXISTS ${folder}/include/NvInfer.h)
    find_package(Git REQUIRED)
    set(fetched OFF)
    foreach(tag v${version} v${version}.0)
      file(REMOVE_RECURSE ${folder})
      execute_process(
        COMMAND ${GIT_EXECUTABLE} -c advice.detachedHead=false clone --quiet --depth 1 --filter=blob:none --no-checkout
                --branch ${tag} ${BEVDEPLOY_TENSORRT_REPOSITORY} ${folder}
        RESULT_VARIABLE failed ERROR_VARIABLE why)
      if(NOT failed)
        execute_process(COMMAND ${GIT_EXECUTABLE} -C ${folder} checkout --quiet ${tag} -- include RESULT_VARIABLE failed
                        ERROR_VARIABLE why)
      endif()
      if(NOT failed)
        set(fetched ON)
        break()
      endif()
    endforeach()
    if(NOT fetched)
      file(REMOVE_RECURSE ${folder})
      message(FATAL_ERROR "TensorRT ${version}: headers not fetched from ${BEVDEPLOY_TENSORRT_REPOSITORY}:\n${why}"
                          "name a folder that has NvInfer.h with -DTENSORRT_INCLUDE_DIR=PATH")
    endif()
  endif()
  set(tensorrt_headers ${folder}/include)
elseif(TENSORRT_INCLUDE_DIR)
  if(NOT EXISTS ${TENSORRT_INCLUDE_DIR}/NvInfer.h)
    message(FATAL_ERROR "no NvInfer.h in ${TENSORRT_INCLUDE_DIR}; name its folder with -DTENSORRT_INCLUDE_DIR=PATH")
  endif()
  set(tensorrt_headers ${TENSORRT_INCLUDE_DIR})
else()
  find_path(found_tensorrt NvInfer.h
            PATHS /usr/include/${CMAKE_SYSTEM_PROCESSOR}-linux-gnu /usr/include /usr/local/tensorrt/include NO_CACHE)
  if(found_tensorrt)
    set(tensorrt_headers ${found_tensorrt})
  endif()
endif()

if(tensorrt_headers AND NOT CUDAToolkit_INCLUDE_DIRS)
  message(STATUS "no plugin: TensorRT's headers need those of CUDA")
  set(tensorrt_headers "")
elseif(tensorrt_headers)
  message(STATUS "plugin with the headers in ${tensorrt_headers}")
else()
  message(STATUS "no plugin: no TensorRT headers; name their folder with -DTENSORRT_INCLUDE_DIR=PATH, or fetch them "
                 "with -DBEVDEPLOY_FETCH_TENSORRT_HEADERS=10.3")
endif()
