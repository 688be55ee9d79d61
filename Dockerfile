# The service with its weights. LOCK=serve runs on a CPU, LOCK=cuda on an NVIDIA GPU as well.
# Where images must never change, name the base with its digest: --build-arg PYTHON=NAME@sha256:...
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS builder
WORKDIR /build
ARG LOCK=serve
RUN python -m venv /venv
# The dependencies are a layer of their own, so that only a change of the lock installs them again.
COPY requirements-${LOCK}.lock release/install.py ./
RUN /venv/bin/python install.py requirements-${LOCK}.lock --no-cache-dir
# What only compiles or tests: headers, static libraries, and triton, which torch.compile alone needs.
RUN cd /venv/lib/python3*/site-packages && rm -rf triton triton-*.dist-info torch/include torch/test \
    && find . -path '*/nvidia/*' \( -name include -o -name '*.a' \) -prune -exec rm -rf {} +
COPY pyproject.toml setup.py README.md LICENSE ./
COPY weights weights
COPY model model
COPY service service
RUN /venv/bin/python -m pip install --no-cache-dir --no-deps . \
    && /venv/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM ${PYTHON}
WORKDIR /app
COPY --from=builder /venv /venv
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp sgone \
    && install --directory --owner 10001 --group 10001 /data
# OpenVINO compiles its graphs here, so that no start waits for it.
ENV PATH=/venv/bin:$PATH SGONE_CACHE_DIR=/app/cache
RUN sgone prepare && chmod -R a+rX /app/cache
COPY weights/sgone-efficientnet-lite2-fold0.* weights/sgone-vgg16.* weights/manifest.toml /app/weights/

# Batches are spooled to TMPDIR, and Compose's /tmp lies in memory.
ENV SGONE_HOST=0.0.0.0 SGONE_DATABASE_URL=sqlite:////data/sgone.sqlite3 TMPDIR=/data \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /data
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as http; http.build_opener(http.ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ.get('SGONE_PORT', 8000)}/readyz\", timeout=4)"]
CMD ["sgone", "serve"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="SG-One Service" \
      org.opencontainers.image.description="Few-shot segmentation: show an object once, get its mask in any photograph" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="python:3.11-slim-bookworm"
