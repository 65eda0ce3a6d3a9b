# edgehr on any x86 or ARM machine, without a screen and without PyTorch: the page of the demo at port 8080.
# Build and run from the root of the repository, then open http://localhost:8080/?token=TOKEN with the token that is printed:
#   docker build -f docker/cpu.Dockerfile -t edgehr .
#   docker run --rm -p 8080:8080 edgehr
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
COPY . /edgehr
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /edgehr

FROM python:${PYTHON}-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir "$(echo /wheels/*.whl)[openvino-headless,onnxruntime-headless,web]" \
    && useradd --create-home edgehr && install -d -o edgehr /data
USER edgehr
WORKDIR /data
EXPOSE 8080
CMD ["edgehr", "demo", "--source", "clip", "--loop", "--realtime", "--serve", "0.0.0.0:8080"]
