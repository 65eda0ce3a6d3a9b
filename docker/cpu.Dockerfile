# edgehr on any x86 or ARM machine, without a screen and without PyTorch: the page of the demo at port 8080.
# Build and run from the root of the repository; the address with its token is printed:
#   docker build -f docker/cpu.Dockerfile -t edgehr .
#   docker run --rm -p 8080:8080 -v "$PWD:/data" edgehr edgehr demo --model MODEL.xml --source VIDEO.mp4 --serve 0.0.0.0:8080
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
CMD ["edgehr", "demo", "--serve", "0.0.0.0:8080"]
