# The build's vocabulary.
#   shoal_room(NAME [SOURCES_IN dir] [DEPS rooms or dep::libs...])   one archive sh_<room> per room; an empty room is skipped
#   shoal_protobuf(OUT)           core/proto/*.proto -> gen/proto/*.pb-c.{c,h}
#   shoal_rooms_of(OUT file...)   the rooms whose headers the files include
#   shoal_program(NAME SOURCES... ) and shoal_test(...) are in programs.cmake and tests/CMakeLists.txt

set(SHOAL_GEN "${CMAKE_BINARY_DIR}/gen")
define_property(GLOBAL PROPERTY SHOAL_ROOMS BRIEF_DOCS "rooms that have sources, lowest first")

function(shoal_room room)
    cmake_parse_arguments(ARG "" "SOURCES_IN" "DEPS;DEFINITIONS;EXTRA" ${ARGN})
    if(NOT ARG_SOURCES_IN)
        set(ARG_SOURCES_IN "${CMAKE_SOURCE_DIR}/core/${room}")
    endif()
    file(GLOB sources CONFIGURE_DEPENDS "${ARG_SOURCES_IN}/*.c")
    if(NOT sources AND NOT ARG_EXTRA)
        return()
    endif()
    add_library(sh_${room} STATIC ${sources} ${ARG_EXTRA})
    target_include_directories(sh_${room} PUBLIC "${CMAKE_SOURCE_DIR}/core")
    target_compile_options(sh_${room} PRIVATE ${SHOAL_WARNINGS_SHIPPED} ${SHOAL_LTO_FLAGS})
    target_compile_definitions(sh_${room} PRIVATE ${ARG_DEFINITIONS})
    foreach(dep IN LISTS ARG_DEPS)
        if(dep MATCHES "::")
            target_link_libraries(sh_${room} PUBLIC ${dep})
        elseif(TARGET sh_${dep})
            target_link_libraries(sh_${room} PUBLIC sh_${dep})
        endif()
    endforeach()
    set_property(GLOBAL APPEND PROPERTY SHOAL_ROOMS ${room})
endfunction()

# Generated code keeps its own style: no warnings asked of it.
function(shoal_protobuf out)
    file(GLOB protos CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/core/proto/*.proto")
    set(generated "")
    foreach(proto IN LISTS protos)
        get_filename_component(name "${proto}" NAME_WE)
        set(base "${SHOAL_GEN}/proto/${name}.pb-c")
        add_custom_command(
            OUTPUT "${base}.c" "${base}.h"
            COMMAND ${CMAKE_COMMAND} -E make_directory "${SHOAL_GEN}/proto"
            COMMAND ${PROTOC_C} "--c_out=${SHOAL_GEN}" "-I${CMAKE_SOURCE_DIR}/core" "${proto}"
            DEPENDS "${proto}" COMMENT "protoc-c ${name}.proto" VERBATIM)
        set_source_files_properties("${base}.c" PROPERTIES COMPILE_OPTIONS "-w")
        list(APPEND generated "${base}.c" "${base}.h")
    endforeach()
    set(${out} "${generated}" PARENT_SCOPE)
endfunction()

function(shoal_rooms_of out)
    set(rooms "")
    foreach(file IN LISTS ARGN)
        file(STRINGS "${file}" lines REGEX "^[ \t]*#[ \t]*include[ \t]*\"(base|crypto|proto|swarm|actor|remote|node|io|sim)/")
        foreach(line IN LISTS lines)
            string(REGEX REPLACE "^[^\"]*\"([a-z]+)/.*$" "\\1" room "${line}")
            list(APPEND rooms ${room})
        endforeach()
    endforeach()
    list(REMOVE_DUPLICATES rooms)
    set(${out} "${rooms}" PARENT_SCOPE)
endfunction()
