"""The demo: a recorded camera played over real ROS 2 into the depth node, and what comes out, measured and drawn.

Each part is a process of its own, as on a robot: `play` (the camera), the depth node, `receive` (its user). `run`
starts and ends them, `record` made the recording.
"""
