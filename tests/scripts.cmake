# Tests that are not C: Lua, Python, the examples, the pages. Each sees the build tree as a user's program would.
if(NOT SHOAL_TESTS)
    return()
endif()
set(here "${CMAKE_CURRENT_SOURCE_DIR}")
set(build "${CMAKE_BINARY_DIR}")
set(SHOAL_SCRIPT_ENV
    "SHOAL_BUILD_DIR=${build}" "SHOAL_SOURCE_DIR=${CMAKE_SOURCE_DIR}"
    "PATH=${build}/bin:/usr/local/bin:/usr/bin:/bin" "LD_LIBRARY_PATH=${build}/lib"
    "PKG_CONFIG_PATH=${build}/pkgconfig" "PYTHONPATH=${build}/python" "PYTHONDONTWRITEBYTECODE=1")
# An interpreter is not built with the sanitizer, so the sanitizer comes first; what it leaks at exit is its own.
if(SHOAL_SANITIZE STREQUAL "address")
    set(runtime libasan.so)
elseif(SHOAL_SANITIZE STREQUAL "thread")
    set(runtime libtsan.so)
endif()
if(runtime AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=${runtime} OUTPUT_VARIABLE runtime OUTPUT_STRIP_TRAILING_WHITESPACE)
    list(APPEND SHOAL_SCRIPT_ENV "SHOAL_TEST_PRELOAD=${runtime}" "ASAN_OPTIONS=detect_leaks=0")
endif()

# shoal_script(NAME n LABEL l [TIMEOUT s] COMMAND ...): started by tools/run/preload.sh, which adds what a list of CMake's cannot
# hold (Lua's search paths have semicolons) and puts the sanitizer under an interpreter.
function(shoal_script)
    cmake_parse_arguments(ARG "SERIAL" "NAME;LABEL;TIMEOUT" "COMMAND" ${ARGN})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 180)
    endif()
    add_test(NAME ${ARG_NAME} COMMAND "${CMAKE_SOURCE_DIR}/tools/run/preload.sh" ${ARG_COMMAND} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT} ENVIRONMENT "${SHOAL_SCRIPT_ENV}")
    if(ARG_SERIAL)
        set_tests_properties(${ARG_NAME} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()

if(TARGET lshoal)
    file(GLOB files CONFIGURE_DEPENDS "${here}/lua/test_*.lua")
    foreach(file IN LISTS files)
        get_filename_component(name "${file}" NAME_WE)
        shoal_script(NAME lua_${name} LABEL lua COMMAND lua5.4 "${file}")
    endforeach()
endif()

if(TARGET pyshoal)
    file(GLOB files CONFIGURE_DEPENDS "${here}/python/test_*.py")
    foreach(file IN LISTS files)
        get_filename_component(name "${file}" NAME_WE)
        shoal_script(NAME python_${name} LABEL python
            COMMAND "${SHOAL_TEST_PYTHON}" -m pytest -q -p no:cacheprovider --rootdir "${here}/python" "${file}")
    endforeach()
endif()

# Whole programs that die, stop and restart, and every value between every pair of languages: scripts that print their own closing line.
include(hosts.cmake)
foreach(suite process values)
    file(GLOB files CONFIGURE_DEPENDS "${here}/${suite}/test_*.py")
    foreach(file IN LISTS files)
        get_filename_component(name "${file}" NAME_WE)
        if(TARGET ${suite}_host AND NOT SHOAL_SANITIZE)
            shoal_script(NAME ${suite}_${name} LABEL ${suite} TIMEOUT 300 SERIAL COMMAND "${SHOAL_TEST_PYTHON}" "${file}")
        endif()
    endforeach()
endforeach()

# Suites across languages: test_*.sh and test_*.py; the sanitizers do not reach them (they start whole programs).
if(NOT SHOAL_SANITIZE)
    foreach(suite abi examples docs install cli)
        file(GLOB files CONFIGURE_DEPENDS "${here}/${suite}/test_*.sh" "${here}/${suite}/test_*.py")
        foreach(file IN LISTS files)
            get_filename_component(name "${file}" NAME_WE)
            set(command bash "${file}")
            if(file MATCHES "\\.py$")
                set(command "${SHOAL_TEST_PYTHON}" -m pytest -q -p no:cacheprovider --rootdir "${here}/${suite}" "${file}")
            endif()
            shoal_script(NAME ${suite}_${name} LABEL ${suite} TIMEOUT 300 COMMAND ${command})
        endforeach()
    endforeach()
endif()
