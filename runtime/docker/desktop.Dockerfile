# The runtime for a computer with an NVIDIA GPU, or without one. Built from the repository's root:
#   docker build -f runtime/docker/desktop.Dockerfile -t proctor .
#
# On python:slim and not on an image of NVIDIA's: TensorRT's wheels bring the user-space libraries, and the driver comes
# from the host (--gpus all). An image with CUDA below them would carry those libraries twice.

FROM python:3.12.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY runtime/ runtime/
COPY export/ export/
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12.12-slim-bookworm
LABEL org.opencontainers.image.title="Proctor" \
      org.opencontainers.image.description="Visual anomaly detection on a line: the runtime, with TensorRT" \
      org.opencontainers.image.licenses="Apache-2.0"

# leave TensorRT out with --build-arg TENSORRT=none: ONNX Runtime alone, some gigabytes less
ARG TENSORRT=11.4.0.106

COPY runtime/docker/desktop.constraints.txt /tmp/constraints.txt
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --constraint /tmp/constraints.txt /wheels/*.whl \
    && if [ "$TENSORRT" != none ]; then \
        pip install --no-cache-dir --constraint /tmp/constraints.txt "tensorrt==$TENSORRT" cuda-bindings; \
    fi \
    && rm /tmp/constraints.txt

# a fixed number, so that the owner of /data can be set on the host; video is the group of /dev/video*
RUN useradd --uid 10001 --groups video --no-create-home --shell /usr/sbin/nologin proctor \
    && install --directory --owner=proctor /data
USER 10001
# the detector, and the plan that is built from it here: a plan runs on the GPU and TensorRT it was built with alone
VOLUME ["/data"]
WORKDIR /data

# PYTHONSAFEPATH: a .py file in /data must not pass for a module
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# an image that cannot score a frame on the CPU is not finished; the GPU is there only when it runs
RUN ["python", "-m", "runtime.doctor"]

# scores one frame on one core; the time-out is that of a cold start on a slow disk
HEALTHCHECK --interval=5m --timeout=90s --start-period=2m --retries=2 CMD ["python", "-m", "runtime.doctor"]
# the stream ends with its summary
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "runtime.stream"]
CMD ["--camera", "0"]
