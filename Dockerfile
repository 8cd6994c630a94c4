# An index served on CPUs, by a user without rights, from a file system that cannot be written:
#
#   docker build -t s3-retriever .
#   docker run --rm --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp \
#       -p 127.0.0.1:8080:8080 -e S3_RETRIEVER_TOKEN -v "$PWD/my-index:/index:ro" s3-retriever
#
# The default host's weights are in the image. For another host, mount its folder and add --host FOLDER.

FROM python:3.12-slim AS build

# A version of torch that has a CPU build, and where pip may look for one beside its usual index.
ARG TORCH=2.13.0
ARG PIP_EXTRA_INDEX_URL=

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 S3_RETRIEVER_CACHE=/opt/cache
RUN python -m venv /opt/venv && /opt/venv/bin/pip install torch==${TORCH}
COPY pyproject.toml README.md LICENSE /src/
COPY s3_retriever /src/s3_retriever
RUN /opt/venv/bin/pip install "/src[serve,mcp,gguf]" && /opt/venv/bin/python -m s3_retriever.host
RUN /opt/venv/bin/python -m compileall -q /opt/venv && chmod -R a+rX,a-w /opt

FROM python:3.12-slim
COPY --from=build /opt /opt
# Kernels are compiled when the container starts, for the processor that it runs on, and kept in /tmp, which also the
# loading of a model needs. The hub is never asked.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    S3_RETRIEVER_CACHE=/opt/cache NUMBA_CACHE_DIR=/tmp/numba HF_HUB_OFFLINE=1
USER 65532:65532
WORKDIR /
EXPOSE 8080
HEALTHCHECK --interval=30s --start-period=120s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=5)"]
ENTRYPOINT ["s3-retriever"]
CMD ["serve", "/index", "--bind", "0.0.0.0", "--read-only"]
