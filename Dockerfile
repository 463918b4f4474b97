# The image contains an interpreter, the locked run-time dependencies and the wheel: no sources, no tests, no embedded stack.

FROM rust:1.95.0-slim-bookworm AS native
WORKDIR /src/native
COPY native/Cargo.toml native/Cargo.lock ./
COPY native/src src
RUN cargo build --release --locked


FROM python:3.11.16-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python -m venv /opt/bridge
WORKDIR /src
COPY requirements-runtime.lock requirements-build.lock ./
RUN /opt/bridge/bin/pip install --require-hashes -r requirements-runtime.lock \
    && pip install --require-hashes -r requirements-build.lock

COPY pyproject.toml hatch_build.py LICENSE ./
COPY scripts/install_native.py scripts/
COPY --from=native /src/native/target/release/libghostlink_native.so /native/
COPY schemas schemas
COPY telemetry telemetry
COPY sinks sinks
COPY streams streams
COPY bridge bridge
# The wheel's metadata names the README, which is not in the build context.
RUN touch README.md \
    && export NATIVE_LIBRARY=/native/libghostlink_native.so WITH_NATIVE=required \
    && pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/bridge/bin/pip install --no-index --no-deps /dist/*.whl \
    && /opt/bridge/bin/pip uninstall --yes pip setuptools


FROM python:3.11.16-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin bridge
COPY --from=build /opt/bridge /opt/bridge
ENV PATH=/opt/bridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BRIDGE_METRICS_PORT=9464
USER 10001:10001
WORKDIR /tmp
# On SIGTERM the worker drains: it commits the batch in flight, then leaves its group.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9464/health', timeout=4).read(1)"]
ENTRYPOINT ["bridge"]
CMD ["worker"]
