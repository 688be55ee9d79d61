# The service with its weights: one image for GPU and CPU, as the index's torch for Linux has CUDA.
FROM python:3.11-slim-bookworm AS requirements
COPY pyproject.toml requirements.lock /requirements/
WORKDIR /requirements
# The lock also pins the development tools; what the service runs on, with SQLite or PostgreSQL, is
# in pyproject.toml alone.
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*project['dependencies'], *project['optional-dependencies']['openvino'], *project['optional-dependencies']['postgres'], sep='\n')" > runtime.txt

FROM python:3.11-slim-bookworm
WORKDIR /app
# Copied from the stage above, so that only a change of a dependency installs the gigabytes again.
COPY --from=requirements /requirements/runtime.txt /requirements/requirements.lock /requirements/
RUN pip install --no-cache-dir --root-user-action=ignore \
    --requirement /requirements/runtime.txt --constraint /requirements/requirements.lock
COPY weights weights
COPY LICENSE README.md pyproject.toml ./
COPY model model
COPY service service
# Editable, as in a clone: the service finds its weights beside its code.
RUN pip install --no-cache-dir --root-user-action=ignore --no-deps --no-build-isolation --editable . \
    && python -m compileall -q model service \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp sgone \
    && install --directory --owner 10001 --group 10001 /data

# The shipped checkpoint is prepared for OpenVINO here, so that no start waits for it.
ENV SGONE_CACHE_DIR=/app/cache
RUN sgone prepare && chmod -R a+rX /app/cache

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
