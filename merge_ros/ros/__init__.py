"""The ROS 2 side: nodes, and what they need to speak messages. Nothing else in the package imports it."""
