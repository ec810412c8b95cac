# Compiler settings of the whole tree: language, warnings, sanitizers, where results go.
include(GNUInstallDirs)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g" CACHE STRING "" FORCE)
set(CMAKE_C_FLAGS_RELEASE "-O2" CACHE STRING "" FORCE) # no NDEBUG: assertions stay on in every build
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

# Our own functions call each other directly, and the outside through one load: nobody may interpose ours.
add_compile_options(-fno-semantic-interposition -fno-plt)
# Optimised over all files at the link of libshoal.so: a tenth less for a message. The objects are whole as well, for
# libshoal.a and who links it with another compiler. Clang would need its own linker: without.
set(SHOAL_LTO_DEFAULT OFF)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT SHOAL_SANITIZE)
    set(SHOAL_LTO_DEFAULT ON)
endif()
option(SHOAL_LTO "optimise over all files at the link (gcc)" ${SHOAL_LTO_DEFAULT})
if(SHOAL_LTO)
    set(SHOAL_LTO_FLAGS -flto=auto -ffat-lto-objects)
endif()

# The two lists: shipped code is held to more than tests are (cmocka's macros convert freely).
set(SHOAL_WARNINGS -Wall -Wextra -Wstrict-prototypes -Wvla -Wpointer-arith)
set(SHOAL_WARNINGS_SHIPPED ${SHOAL_WARNINGS} -Wconversion -Wshadow -Wmissing-prototypes)
if(SHOAL_WERROR)
    list(APPEND SHOAL_WARNINGS -Werror)
    list(APPEND SHOAL_WARNINGS_SHIPPED -Werror)
endif()

if(SHOAL_SANITIZE STREQUAL "address")
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=address,undefined)
elseif(SHOAL_SANITIZE STREQUAL "thread")
    add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
    add_link_options(-fsanitize=thread)
elseif(SHOAL_SANITIZE)
    message(FATAL_ERROR "SHOAL_SANITIZE is '${SHOAL_SANITIZE}'; it may be empty, address or thread")
endif()
if(SHOAL_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "SHOAL_FUZZ needs clang (libFuzzer); the compiler is ${CMAKE_C_COMPILER_ID}")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
