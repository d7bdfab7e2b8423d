"""Two nodes of one name: services and parameters then reach one of them by chance, and topics carry both."""

from __future__ import annotations

from rclpy.node import Node


class Namesakes:
    """Looks for nodes that are called like this one.

    Args:
        node: this one.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._told = False

    def warning(self) -> str:
        """What to tell the user, "" when the name is taken once; into the log when it begins."""
        node = self._node
        others = node.get_node_names_and_namespaces()
        count = sum((name, space) == (node.get_name(), node.get_namespace()) for name, space in others)
        if count < 2:
            self._told = False
            return ""
        warning = (
            f"{count} nodes are called {node.get_fully_qualified_name()}: rename all but one (argument name of the "
            "launch file, or --ros-args -r __node:=NAME); one that was killed counts for up to half a minute"
        )
        if not self._told:
            self._told = True
            node.get_logger().warning(warning)
        return warning
