# edgehr on a Jetson with JetPack 6: TensorRT and CUDA from NVIDIA's image, no PyTorch.
# Build on the board, from the root of the repository:  docker build -f docker/jetson.Dockerfile -t edgehr .
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0
FROM ${BASE}

RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip python3-opencv python3-libnvinfer \
    && rm -rf /var/lib/apt/lists/*

COPY . /opt/edgehr
# The image's own TensorRT and OpenCV serve; OpenCV was compiled for NumPy 1.
RUN python3 -m pip install --no-cache-dir "numpy<2" "cuda-python>=12.6,<13" /opt/edgehr \
    && rm -rf /opt/edgehr

WORKDIR /data
CMD ["edgehr", "doctor"]
