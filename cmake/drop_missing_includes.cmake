# The ROS 2 wheels on PyPI export targets that carry the Python include directory of the machine that built them, and
# CMake refuses an imported target whose include directories do not exist. Take those that are missing out of every
# imported target, once this directory is configured. Changes nothing on a ROS from apt.

function(merge_ros_drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT includes)
      continue()
    endif()
    set(present "")
    foreach(directory IN LISTS includes)
      if(directory MATCHES "^\\$<" OR EXISTS "${directory}")
        list(APPEND present "${directory}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${present}")
  endforeach()
endfunction()

cmake_language(DEFER CALL merge_ros_drop_missing_includes)
