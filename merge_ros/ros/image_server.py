"""~/generate, ~/synthesize and ~/set_mode: images from text, made by the network that estimates depth."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future as RosFuture
from std_msgs.msg import Header

from merge_ros.action import Synthesize
from merge_ros.errors import BusyError, ConfigurationError, MergeError, MissingDependencyError, RefusedError
from merge_ros.estimator import DepthEstimator
from merge_ros.generator import ImageGenerator
from merge_ros.ros.conversions import array_to_image
from merge_ros.ros.image_job import FRAME, Made, OnProgress, Progress, do_job, fill, fill_error
from merge_ros.ros.image_order import ImageOrder, read_orders
from merge_ros.ros.mode import ModeSwitch
from merge_ros.ros.parameters import NodeSettings
from merge_ros.srv import Generate, SetMode

NOT_CONFIGURED = "the node is not configured; configure it first"


class ImageServer:
    """Takes requests, works on one after the other in a thread of its own, and answers.

    The executor never waits: callbacks are coroutines that are woken when the thread is done.

    Args:
        node: gets the service, the action and the mode service.
        mode: the node's.
        estimator: the depth estimator of now, whose weights are shared where they can be; None while unconfigured.
        settings: of the node as they are now: which model, and what requests may do.
    """

    def __init__(
        self,
        node: Node,
        mode: ModeSwitch,
        estimator: Callable[[], DepthEstimator | None],
        settings: Callable[[], NodeSettings],
    ) -> None:
        self._node, self._mode, self._estimator, self._settings = node, mode, estimator, settings
        self._thread = ThreadPoolExecutor(1, "images")
        self._lock = threading.Lock()
        self._waiting = 0  # jobs that are worked on or wait
        self._generation = 0  # jobs of an older one end at their next step
        self._generator: ImageGenerator | None = None
        group = ReentrantCallbackGroup()  # a coroutine that waits must not keep other callbacks from running
        node.create_service(Generate, "~/generate", self._generate, callback_group=group)
        node.create_service(SetMode, "~/set_mode", self._set_mode)
        self._action = ActionServer(
            node,
            Synthesize,
            "~/synthesize",
            execute_callback=self._synthesize,
            goal_callback=lambda goal: GoalResponse.ACCEPT,  # what is wrong with it, the result can say and this cannot
            cancel_callback=lambda goal: CancelResponse.ACCEPT,
            callback_group=group,
        )

    def release(self) -> None:
        """End the job in work at its next step, refuse those that wait, and let go of the model."""
        with self._lock:
            self._generation += 1
        # Behind the job that runs, so that nothing is taken away under it.
        self._thread.submit(self._close).result()

    def destroy(self) -> None:
        """`release`, and take no more jobs."""
        self.release()
        self._thread.shutdown()
        self._action.destroy()

    def _close(self) -> None:
        generator, self._generator = self._generator, None
        if generator is not None:
            generator.close()

    async def _generate(self, request: Generate.Request, response: Generate.Response) -> Generate.Response:
        try:
            orders = self._orders(request, [request.prompt])
            made = await self._do(orders, lambda progress: True)
            fill(response, made, request, orders, self._header())
            response.seed = made.seeds[0]
        except Exception as error:
            self._explain(response, error)
        return response

    async def _synthesize(self, goal: Any) -> Synthesize.Result:
        result = Synthesize.Result()
        try:
            orders = self._orders(goal.request, list(goal.request.prompts))
            goal.publish_feedback(Synthesize.Feedback(stage="queued", jobs=len(orders)))
            made = await self._do(orders, lambda progress: self._feed_back(goal, progress))
            fill(result, made, goal.request, orders, self._header())
            result.seeds = made.seeds
            goal.succeed()
        except Exception as error:
            self._explain(result, error)
            if goal.is_cancel_requested:
                goal.canceled()
            else:
                goal.abort()
        return result

    def _set_mode(self, request: SetMode.Request, response: SetMode.Response) -> SetMode.Response:
        before = self._mode.mode
        try:
            self._mode.mode = request.mode
        except ConfigurationError as error:
            response.message = str(error)
            return response
        response.success, response.message = True, f"mode was {before!r} and is {request.mode!r}"
        self._node.get_logger().info(response.message)
        return response

    def _orders(self, message: Any, prompts: Sequence[str]) -> list[ImageOrder]:
        self._mode.check_images()
        if self._estimator() is None:
            raise RefusedError(NOT_CONFIGURED)
        return read_orders(message, prompts, self._settings().images)

    async def _do(self, orders: Sequence[ImageOrder], on_progress: OnProgress) -> Made:
        """Queue a job and wait for it without holding the executor."""
        allowed = self._settings().images.generate_queue
        with self._lock:
            if self._waiting > allowed:
                raise BusyError(
                    f"{self._waiting} request(s) are in work or wait; generate_queue allows {allowed} to wait"
                )
            self._waiting += 1
            generation = self._generation
        done: RosFuture = RosFuture(executor=self._node.executor)
        job = self._thread.submit(self._work, orders, on_progress, generation)
        job.add_done_callback(done.set_result)
        finished: Future[Made] = await done
        return finished.result()

    def _work(self, orders: Sequence[ImageOrder], on_progress: OnProgress, generation: int) -> Made:
        """One job, in the thread of this server."""
        try:
            if generation != self._generation:
                raise RefusedError("the node was deactivated or cleaned up before this request's turn")
            self._generator = self._generator or self._load()
            return do_job(
                orders,
                self._generator,
                self._mode,
                lambda progress: generation == self._generation and on_progress(progress),
            )
        finally:
            with self._lock:
                self._waiting -= 1

    def _load(self) -> ImageGenerator:
        settings = self._settings()
        depth = self._estimator()
        if depth is None:
            raise RefusedError(NOT_CONFIGURED)
        own = settings.estimator
        self._node.get_logger().info(f"loading {own.model} for images")
        generator = ImageGenerator(settings.images.generator(own.model, own.converters, own.threads), depth)
        self._node.get_logger().info(f"ready for images: {generator.description}")
        return generator

    def _feed_back(self, goal: Any, progress: Progress) -> bool:
        if goal.is_cancel_requested or not self._node.context.ok():
            return False
        order, orders, image, step = progress
        feedback = Synthesize.Feedback(
            stage="asset", job=order, jobs=orders, image=image, fraction=(order + 1) / orders
        )
        if step is not None:
            feedback.stage, feedback.step, feedback.steps = step.stage, step.step, step.steps
            feedback.fraction = (order + step.fraction) / orders
            every = goal.request.preview_every
            if every and step.preview is not None and step.step % every == 0:
                feedback.preview = array_to_image(step.preview(), "rgb8", self._header())
        goal.publish_feedback(feedback)
        return True

    def _header(self) -> Header:
        return Header(stamp=self._node.get_clock().now().to_msg(), frame_id=FRAME)

    def _explain(self, response: Any, error: Exception) -> None:
        fill_error(response, error)
        unexpected = not isinstance(error, MergeError) or isinstance(error, MissingDependencyError)
        log = self._node.get_logger()
        if unexpected:
            log.error("".join(traceback.format_exception(error)))
        else:
            log.warning(f"no image: {response.error_text}")
