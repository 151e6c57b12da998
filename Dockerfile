# runner, and the embedded server with it: `docker run -v "$PWD:/work" runner plan specs/`, or as a batch API of its own:
# `docker run -p 8080:8080 -v data:/data -e TOKEN=... runner serve --host 0.0.0.0 --dir /data --token-env TOKEN ...`
FROM python:3.12-slim AS build
COPY pyproject.toml README.md LICENSE /src/
COPY runner /src/runner
RUN python -m venv /opt/runner && /opt/runner/bin/pip install --no-cache-dir --no-compile "/src[server]"

FROM python:3.12-slim
RUN useradd --uid 1000 --create-home runner && mkdir /data /work && chown runner:runner /data /work
COPY --from=build /opt/runner /opt/runner
ENV PATH=/opt/runner/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 RUNNER_HOME=/data
USER runner
WORKDIR /work
VOLUME /data
EXPOSE 8080
# Of `serve`: a server that has said where it listens has to answer there. Other commands have nothing to be asked.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-P", "-c", "import json, os, urllib.request as u; f = '/data/server.json'; os.path.exists(f) and u.urlopen(json.load(open(f))['url'], timeout=4)"]
ENTRYPOINT ["runner"]
CMD ["--help"]
