# The build's vocabulary.
#   shoal_layer(NAME [SOURCES_IN dir] [DEPS layers or dep::libs...])   one archive sh_<layer> per layer; an empty layer is skipped
#   shoal_protobuf(OUT)           core/proto/*.proto -> gen/proto/*.pb-c.{c,h}
#   shoal_layers_of(OUT file...)   the layers whose headers the files include
#   shoal_program(NAME SOURCES... ) and shoal_test(...) are in programs.cmake and tests/CMakeLists.txt

set(SHOAL_GEN "${CMAKE_BINARY_DIR}/gen")
define_property(GLOBAL PROPERTY SHOAL_LAYERS BRIEF_DOCS "layers that have sources, lowest first")

function(shoal_layer layer)
    cmake_parse_arguments(ARG "" "SOURCES_IN" "DEPS;DEFINITIONS;EXTRA" ${ARGN})
    if(NOT ARG_SOURCES_IN)
        set(ARG_SOURCES_IN "${CMAKE_SOURCE_DIR}/core/${layer}")
    endif()
    file(GLOB sources CONFIGURE_DEPENDS "${ARG_SOURCES_IN}/*.c")
    if(NOT sources AND NOT ARG_EXTRA)
        return()
    endif()
    add_library(sh_${layer} STATIC ${sources} ${ARG_EXTRA})
    target_include_directories(sh_${layer} PUBLIC "${CMAKE_SOURCE_DIR}/core")
    target_compile_options(sh_${layer} PRIVATE ${SHOAL_WARNINGS_SHIPPED} ${SHOAL_LTO_FLAGS})
    target_compile_definitions(sh_${layer} PRIVATE ${ARG_DEFINITIONS})
    foreach(dep IN LISTS ARG_DEPS)
        if(dep MATCHES "::")
            target_link_libraries(sh_${layer} PUBLIC ${dep})
        elseif(TARGET sh_${dep})
            target_link_libraries(sh_${layer} PUBLIC sh_${dep})
        endif()
    endforeach()
    set_property(GLOBAL APPEND PROPERTY SHOAL_LAYERS ${layer})
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

function(shoal_layers_of out)
    set(layers "")
    foreach(file IN LISTS ARGN)
        file(STRINGS "${file}" lines REGEX "^[ \t]*#[ \t]*include[ \t]*\"(base|crypto|proto|swarm|actor|remote|node|io|sim)/")
        foreach(line IN LISTS lines)
            string(REGEX REPLACE "^[^\"]*\"([a-z]+)/.*$" "\\1" layer "${line}")
            list(APPEND layers ${layer})
        endforeach()
    endforeach()
    list(REMOVE_DUPLICATES layers)
    set(${out} "${layers}" PARENT_SCOPE)
endfunction()
