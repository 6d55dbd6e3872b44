# The image that the ECS task of infra/service.yaml runs: `snapshotter job`, as user 10001, on a read-only root file system.
#
#   docker build --platform linux/amd64 --build-arg PYTHON_DIGEST=sha256:<digest> --tag fruitful-repo-snapshotter .
#
# The platform is that of the template's CpuArchitecture: linux/amd64 for X86_64, linux/arm64 for ARM64.
# The base is pinned by digest, which is not a default here, because a default would grow old unseen: docs/aws.md,
# "First deployment", says how to look it up. A build without it fails at the first line that needs it. Every Python release is
# pinned by its hashes (infra/pin), so that two builds of one commit and one digest hold the same; Debian's git and ssh are the
# newest of their release. backend/tests/infra/test_container.py runs these steps without docker.
ARG PYTHON=python:3.11-slim-bookworm
ARG PYTHON_DIGEST

FROM ${PYTHON}@${PYTHON_DIGEST} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/snapshotter
COPY infra/requirements.txt infra/requirements-build.txt infra/sbom.py infra/
# Wheels only, so that nothing needs a compiler, and each as its hashes say: whatever index answers, it can give nothing else.
# The list is whole, so nothing is resolved (--no-deps), and `pip check` says if it were not. Not compiled by pip, whose compiled
# files hold the time of the build.
RUN pip --python /opt/snapshotter/bin/python install --quiet --no-compile --no-deps --only-binary :all: --require-hashes \
    -r infra/requirements.txt
RUN pip install --quiet --no-deps --only-binary :all: --require-hashes -r infra/requirements-build.txt
COPY pyproject.toml README.md ./
COPY backend/snapshotter backend/snapshotter
RUN pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir wheels . \
    && pip --python /opt/snapshotter/bin/python install --quiet --no-compile --no-index --no-deps wheels/*.whl \
    && pip --python /opt/snapshotter/bin/python check \
    && /opt/snapshotter/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/snapshotter/lib \
    && cp infra/sbom.py /opt/snapshotter/sbom.py

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
# What is in the image, beside it: docker run --rm --entrypoint cat IMAGE /opt/snapshotter/sbom.cdx.json
RUN python /opt/snapshotter/sbom.py > /opt/snapshotter/sbom.cdx.json
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
