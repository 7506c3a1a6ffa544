# One image for worker, alerter and page: `python -m brandpulse worker|alerter|dashboards page`.
FROM python:3.11.13-slim-bookworm AS dependencies
WORKDIR /build
RUN python -m venv /venv
COPY pyproject.toml constraints.txt ./
# Only the dependencies, so that a change of our code does not install them again.
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        print('\n'.join(project['dependencies'] + project['optional-dependencies']['int8']))" \
        > requirements.txt \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
        --requirement requirements.txt --constraint constraints.txt

FROM rust:1-slim-bookworm AS native
WORKDIR /build
# The build fits every CPython from 3.11 on, so none is needed here.
ENV PYO3_NO_PYTHON=1
COPY stream_workers/native .
RUN cargo build --release --locked

FROM python:3.11.13-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp brandpulse
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 BRANDPULSE_HOME=/run/brandpulse
COPY --from=dependencies /venv /venv
# Our packages have plain names (model, ingest), so the working directory must be first in the path.
WORKDIR /app
COPY brandpulse brandpulse
COPY ingest ingest
COPY model model
COPY stream_workers stream_workers
COPY --from=native /build/target/release/lib_native.so stream_workers/_native.abi3.so
COPY alerting alerting
COPY dashboards dashboards
USER 10001:10001
ENTRYPOINT ["python", "-m", "brandpulse"]
CMD ["--help"]
