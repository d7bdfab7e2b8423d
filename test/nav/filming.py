"""The camera of a robot that another process drives: renders from /true_pose, and publishes the image and its info.

One process, as rendering takes longer than the robot's steps may.
"""

from __future__ import annotations

import argparse
import json
import math
import time

import rclpy
from exact_node import depth_to_picture
from geometry_msgs.msg import PoseStamped
from rclpy.executors import ExternalShutdownException
from scenarios import HEIGHT, PITCH, SIZE, box_scene
from sensor_msgs.msg import CameraInfo, Image
from session import FRAME, limit_threads
from std_msgs.msg import Header

from merge_ros.geometry.camera import Camera
from merge_ros.ros.conversions import array_to_image
from merge_ros.simulation.poses import camera_pose
from merge_ros.simulation.renderer import SceneRenderer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=json.loads, required=True, help="[[x0, x1, y0, y1, height], ...]")
    parser.add_argument("--ahead", type=float, required=True, help="metres from the robot's centre to the camera")
    parser.add_argument("--rate", type=float, default=5.0, help="images per second at most")
    parser.add_argument("--exact", action="store_true", help="for exact_node.py")
    arguments = parser.parse_args()
    limit_threads()
    rclpy.init()
    node = rclpy.create_node("filming")
    images = node.create_publisher(Image, "/image", 1)
    infos = node.create_publisher(CameraInfo, "/camera_info", 1)
    camera = Camera.from_fov(*SIZE, math.radians(75))
    k = [float(value) for value in camera.matrix.ravel()]
    newest: list[PoseStamped] = []
    node.create_subscription(PoseStamped, "/true_pose", lambda m: newest.__setitem__(slice(None), [m]), 1)

    with SceneRenderer(box_scene(arguments.boxes, None, room=(-4, 10, -5, 5)), camera) as renderer:
        due = time.monotonic()
        try:
            while rclpy.ok():
                rclpy.spin_once(node, timeout_sec=0.02)
                if not newest or time.monotonic() < due:
                    continue
                due = time.monotonic() + 1 / arguments.rate
                pose = newest.pop()
                heading = 2 * math.atan2(pose.pose.orientation.z, pose.pose.orientation.w)
                x = pose.pose.position.x + arguments.ahead * math.cos(heading)
                y = pose.pose.position.y + arguments.ahead * math.sin(heading)
                place = camera_pose(x, y, HEIGHT, heading, PITCH)
                picture = depth_to_picture(renderer.truth(place)[0]) if arguments.exact else renderer.colour(place)
                header = Header(frame_id=FRAME, stamp=pose.header.stamp)
                infos.publish(CameraInfo(header=header, width=camera.width, height=camera.height, k=k))
                images.publish(array_to_image(picture, "rgb8", header))
        except (KeyboardInterrupt, ExternalShutdownException):
            pass


if __name__ == "__main__":
    main()
