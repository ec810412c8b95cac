# What `cmake --install` puts under a prefix, and the shoal.pc of the build tree.
include(CMakePackageConfigHelpers)
if(NOT TARGET shoal)
    return()
endif()
set(SHOAL_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/shoal")
set(requires "")
set(raw "")
foreach(dep uv ares crypto protobuf msgpack)
    get_property(module GLOBAL PROPERTY SHOAL_PKG_${dep})
    list(APPEND requires ${module})
    list(APPEND raw ${${dep}_LIBRARIES})
endforeach()
list(JOIN requires " " SHOAL_REQUIRES)

# Build tree: pkg-config finds this one after eval "$(./run env)".
set(SHOAL_PC_LIBDIR "${CMAKE_LIBRARY_OUTPUT_DIRECTORY}")
set(SHOAL_PC_INCLUDEDIR "${CMAKE_SOURCE_DIR}/abi/include")
configure_file(cmake/shoal.pc.in "${CMAKE_BINARY_DIR}/pkgconfig/shoal.pc" @ONLY)

# Installed: found from its own place, so the prefix may be chosen at install time and the tree moved.
set(SHOAL_PC_LIBDIR "\${pcfiledir}/..")
file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/${CMAKE_INSTALL_INCLUDEDIR}")
set(SHOAL_PC_INCLUDEDIR "\${pcfiledir}/${up}")
configure_file(cmake/shoal.pc.in "${CMAKE_BINARY_DIR}/installed/shoal.pc" @ONLY)

install(FILES abi/include/shoal.h abi/include/shoal_object.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT dev)
install(FILES "${CMAKE_BINARY_DIR}/installed/shoal.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT dev)
target_link_libraries(shoal_static INTERFACE "$<INSTALL_INTERFACE:${raw};pthread>")
set_target_properties(shoal_static PROPERTIES LINKER_LANGUAGE C)
install(TARGETS shoal shoal_static EXPORT shoal-targets
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev)
install(EXPORT shoal-targets NAMESPACE shoal:: DESTINATION "${SHOAL_CMAKE_DIR}" COMPONENT dev)
configure_package_config_file(cmake/shoal-config.cmake.in "${CMAKE_BINARY_DIR}/installed/shoal-config.cmake"
    INSTALL_DESTINATION "${SHOAL_CMAKE_DIR}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${CMAKE_BINARY_DIR}/installed/shoal-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/installed/shoal-config.cmake" "${CMAKE_BINARY_DIR}/installed/shoal-config-version.cmake"
    DESTINATION "${SHOAL_CMAKE_DIR}" COMPONENT dev)

if(TARGET shoal_cli)
    set_target_properties(shoal_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
    install(TARGETS shoal_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
endif()
if(TARGET lshoal)
    install(TARGETS lshoal LIBRARY DESTINATION "lib/lua/5.4${lua_sub}" COMPONENT lua)
    install(FILES ${lua_scripts} DESTINATION "share/lua/5.4" COMPONENT lua)
endif()
if(TARGET pyshoal AND SKBUILD) # the wheel; its .py files are named in pyproject.toml
    install(TARGETS pyshoal LIBRARY DESTINATION shoal COMPONENT python)
endif()
