# The worker as an image: everything installed by hash in one stage, a small unprivileged one to run it.
# Python's packages come from a lock. Helm is built from its own sources, of the checksum that go.sum says, to stay from
# one call to the next (docs/servers.md); the Go that builds it is in the lock of embedded/go-requirements.txt.

FROM python:3.13.9-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/innkeeper
COPY requirements/build.txt requirements/image.txt requirements/
RUN /opt/innkeeper/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt -r requirements/image.txt
COPY . .
RUN /opt/innkeeper/bin/pip install --no-cache-dir --no-deps --no-build-isolation .
RUN --mount=type=cache,target=/cache XDG_CACHE_HOME=/cache /opt/innkeeper/bin/python -m innkeeper.embedded.build_helm /opt/innkeeper/bin/helm

FROM python:3.13.9-slim-bookworm
# setpriv (util-linux) ties each helm to the life of its worker; it is part of the base image.
RUN useradd --system --uid 10001 --create-home --home-dir /home/innkeeper innkeeper
COPY --from=build /opt/innkeeper /opt/innkeeper
COPY --chown=root:root catalog.yaml /etc/innkeeper/catalog.yaml
COPY --chown=root:root charts /etc/innkeeper/charts
ENV PATH=/opt/innkeeper/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    INNKEEPER_CATALOG=/etc/innkeeper/catalog.yaml
USER 10001:10001
WORKDIR /home/innkeeper
# Healthy is: Temporal has lately heard from this very worker.
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s --retries=3 CMD ["python", "-m", "innkeeper.health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "innkeeper.worker"]
