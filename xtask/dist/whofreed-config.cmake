# find_package(whofreed): the imported target whofreed::whofreed, and what is beside it, wherever the archive was unpacked.
get_filename_component(WHOFREED_PREFIX "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(WHOFREED_EXECUTABLE "${WHOFREED_PREFIX}/bin/whofreed")

if(NOT TARGET whofreed::whofreed)
  add_library(whofreed::whofreed SHARED IMPORTED)
  set_target_properties(whofreed::whofreed PROPERTIES
    IMPORTED_LOCATION "${WHOFREED_PREFIX}/lib/libwhofreed.so"
    IMPORTED_SONAME "libwhofreed.so"
    INTERFACE_INCLUDE_DIRECTORIES "${WHOFREED_PREFIX}/include")
  # The headers alone, for hosts that run as before where the library is absent (see whofreed.h).
  add_library(whofreed::weak INTERFACE IMPORTED)
  set_target_properties(whofreed::weak PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${WHOFREED_PREFIX}/include"
    INTERFACE_COMPILE_DEFINITIONS "WHOFREED_WEAK"
    INTERFACE_LINK_LIBRARIES "${CMAKE_DL_LIBS}")
endif()
