# The Lua and Python modules. Both see shoal.h only and carry the library inside (libshoal.a), so a module is one file.
# A script seen from the build tree is the one in the source tree: an edit needs no build.
function(shoal_link_beside source target)
    get_filename_component(folder "${target}" DIRECTORY)
    file(MAKE_DIRECTORY "${folder}")
    file(CREATE_LINK "${source}" "${target}" SYMBOLIC)
endfunction()

if(SHOAL_LUA AND TARGET shoal_static)
    file(GLOB lua_c CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/bindings/lua/*.c")
    file(GLOB lua_scripts CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/bindings/lua/*.lua")
    if(lua_c)
        # A shoal.lua beside the C part is the module that users require; the C part is then shoal/core.so.
        set(lua_name shoal)
        set(lua_dir "${CMAKE_BINARY_DIR}/lua")
        set(lua_sub "")
        if("${CMAKE_SOURCE_DIR}/bindings/lua/shoal.lua" IN_LIST lua_scripts)
            set(lua_name core)
            set(lua_sub "/shoal")
        endif()
        add_library(lshoal MODULE ${lua_c})
        set_target_properties(lshoal PROPERTIES C_VISIBILITY_PRESET default OUTPUT_NAME ${lua_name} PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${lua_dir}${lua_sub}")
        target_compile_options(lshoal PRIVATE ${SHOAL_WARNINGS_SHIPPED})
        target_include_directories(lshoal PRIVATE ${lua_INCLUDE_DIRS})
        target_link_libraries(lshoal PRIVATE shoal_static dep::msgpack) # not liblua: the interpreter brings it; lua.map hides the rest
        target_link_options(lshoal PRIVATE "LINKER:--version-script=${CMAKE_SOURCE_DIR}/cmake/lua.map")
        foreach(script IN LISTS lua_scripts)
            get_filename_component(name "${script}" NAME)
            shoal_link_beside("${script}" "${lua_dir}/${name}")
        endforeach()
    endif()
endif()

if(SHOAL_PYTHON AND TARGET shoal_static)
    file(GLOB python_c CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/bindings/python/*.c")
    file(GLOB python_files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/bindings/python/shoal/*.py"
        "${CMAKE_SOURCE_DIR}/bindings/python/shoal/*.pyi" "${CMAKE_SOURCE_DIR}/bindings/python/shoal/py.typed")
    if(python_c)
        # Debian's own Python has the headers that its package manager installs; a wheel build names another one.
        if(NOT Python_EXECUTABLE AND NOT Python_ROOT_DIR AND EXISTS /usr/bin/python3 AND NOT SKBUILD)
            set(Python_EXECUTABLE /usr/bin/python3)
        endif()
        find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
        add_library(pyshoal MODULE ${python_c})
        set_target_properties(pyshoal PROPERTIES OUTPUT_NAME _shoal PREFIX "" SUFFIX ".abi3.so"
            LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/python/shoal")
        target_compile_definitions(pyshoal PRIVATE Py_LIMITED_API=0x030B0000
            $<$<OR:$<CONFIG:Debug>,$<BOOL:${SHOAL_SANITIZE}>>:SHOAL_PY_CHECKS>)
        target_compile_options(pyshoal PRIVATE ${SHOAL_WARNINGS_SHIPPED} -Wno-missing-prototypes) # PyInit__shoal has none
        target_include_directories(pyshoal SYSTEM PRIVATE ${Python_INCLUDE_DIRS})
        target_link_libraries(pyshoal PRIVATE shoal_static dep::msgpack)
        target_link_options(pyshoal PRIVATE "LINKER:--version-script=${CMAKE_SOURCE_DIR}/cmake/python.map")
        foreach(file IN LISTS python_files)
            get_filename_component(name "${file}" NAME)
            shoal_link_beside("${file}" "${CMAKE_BINARY_DIR}/python/shoal/${name}")
        endforeach()
    endif()
endif()
