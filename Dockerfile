# The image that the ECS task of infra/service.yaml runs: `snapshotter job`, as user 10001, on a read-only root file system.
#
#   docker build --build-arg PYTHON_DIGEST=sha256:<digest> --tag fruitful-repo-snapshotter .
#
# The base is pinned by digest, which is not a default here, because a default would grow old unseen: docs/aws.md,
# "First deployment", says how to look it up. A build without it fails at the first line that needs it.
# backend/tests/infra/test_container.py runs these steps without docker.
ARG PYTHON=python:3.11-slim-bookworm
ARG PYTHON_DIGEST

FROM ${PYTHON}@${PYTHON_DIGEST} AS build
ARG UV_VERSION=0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/snapshotter UV_PYTHON=python3 UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
WORKDIR /src
RUN pip install --quiet --no-cache-dir "uv==${UV_VERSION}"
COPY pyproject.toml README.md ./
COPY backend/snapshotter backend/snapshotter
# Wheels only, so that nothing needs a compiler; no newer release than `exclude-newer` in pyproject.toml.
RUN uv sync --quiet --no-dev --extra fleet --no-editable --compile-bytecode --no-build

FROM ${PYTHON}@${PYTHON_DIGEST}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && ! command -v cc && ! command -v gcc
RUN groupadd --gid 10001 snapshotter \
    && useradd --uid 10001 --gid 10001 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin snapshotter \
    && chown 10001:10001 /tmp && chmod 1777 /tmp
COPY --from=build /opt/snapshotter /opt/snapshotter
ENV PATH=/opt/snapshotter/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONNOUSERSITE=1
ENV SNAPSHOTTER_RULE_CACHE=/var/cache/snapshotter
RUN mkdir -m 0755 /var/cache/snapshotter && chown 10001:10001 /var/cache/snapshotter
USER 10001:10001
# The secret scanner's rules, compiled once, here, and not for some ten seconds in every run. It takes them only from the
# user that it runs as, and only on a processor with the features of the one that compiled them; elsewhere it does without.
RUN python -c "import os; from pathlib import Path; from snapshotter.base.cancel import Cancel; from snapshotter.scan import secrets; \
    secrets.warm(Path(os.environ['SNAPSHOTTER_RULE_CACHE']), folder=Path('/tmp'), seconds=600, cancel=Cancel())"
# Declared after its owner is set: Fargate gives the task's volume the owner and mode of this folder.
VOLUME ["/tmp"]
WORKDIR /
ENTRYPOINT ["snapshotter"]
CMD ["job"]
