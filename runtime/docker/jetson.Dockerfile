# The runtime for a Jetson with JetPack 6. Built on the Jetson, from the repository's root:
#   docker build -f runtime/docker/jetson.Dockerfile -t proctor .
#
# TensorRT 10.3 and CUDA 12.6 are those of the base image, OpenCV is JetPack's own: pip's wheels have neither a Jetson's
# TensorRT nor GStreamer, and must not shadow them.

FROM python:3.12.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY runtime/ runtime/
COPY export/ export/
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0
LABEL org.opencontainers.image.title="Proctor" \
      org.opencontainers.image.description="Visual anomaly detection on a line: the runtime, for JetPack 6" \
      org.opencontainers.image.licenses="Apache-2.0"

# of https://repo.download.nvidia.com/jetson/jetson-ota-public.asc
ARG KEY_SHA256=576f852981855e5c6cfb9b625ffb51b984ca451f1181b2e70435b005034fad55
# NVIDIA's package source by the name that JetPack gives it, so that it stands there once
# hadolint ignore=DL3008 # JetPack's source keeps one version of a package: a pin would break with each of its updates
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl python3-venv \
    && curl -fsSL --output /usr/share/keyrings/nvidia-jetson.asc \
        https://repo.download.nvidia.com/jetson/jetson-ota-public.asc \
    && echo "$KEY_SHA256  /usr/share/keyrings/nvidia-jetson.asc" > /tmp/key.sha256 \
    && sha256sum --check /tmp/key.sha256 && rm /tmp/key.sha256 \
    && signed="[signed-by=/usr/share/keyrings/nvidia-jetson.asc] https://repo.download.nvidia.com/jetson" \
    && printf 'deb %s/%s r36.4 main\n' "$signed" common "$signed" t234 \
        > /etc/apt/sources.list.d/nvidia-l4t-apt-source.list \
    && apt-get update \
    && apt-get install -y --no-install-recommends libopencv-python \
    && apt-get purge -y curl \
    && rm -rf /var/lib/apt/lists/*

COPY runtime/docker/jetson.constraints.txt /tmp/constraints.txt
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python3 -m venv --system-site-packages /opt/proctor \
    && /opt/proctor/bin/pip install --no-cache-dir --no-deps /wheels/*.whl \
    && /opt/proctor/bin/pip install --no-cache-dir --constraint /tmp/constraints.txt \
        av cuda-bindings numpy onnxruntime pillow pyyaml simplejpeg \
    && rm /tmp/constraints.txt

# a fixed number, so that the owner of /data can be set on the host; video is the group of /dev/video* and of the GPU
RUN useradd --uid 10001 --groups video --no-create-home --shell /usr/sbin/nologin proctor \
    && install --directory --owner=proctor /data
USER 10001
# the detector, and the plan that is built from it here: a plan runs on the GPU and TensorRT it was built with alone
VOLUME ["/data"]
WORKDIR /data

ENV PATH=/opt/proctor/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=all

# an image that cannot score a frame on the CPU is not finished; the GPU is there only when it runs
RUN ["python", "-m", "runtime.doctor"]

# scores one frame on one core; the time-out is that of a cold start on a slow disk
HEALTHCHECK --interval=5m --timeout=90s --start-period=2m --retries=2 CMD ["python", "-m", "runtime.doctor"]
# the stream ends with its summary
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "runtime.stream"]
CMD ["--camera", "0"]
