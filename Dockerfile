# Every image of dlpubuild, one final stage each: tf2, tf1, onnx, edgetpu, ambarella, cli, cli-tf2.
#
#   dlpubuild image build tf2      # also sets the labels that depend on the build, and makes file times equal
#   docker build --target tf2 .    # works, too, with BuildKit
#
# Final stages begin from nothing and only copy: what builds stays behind, no variable of a base image leaks in, and no
# command is in their history. The layer with Debian and Python is the same in all images with the same Python.
# There is no "syntax" line on purpose: it would fetch a front end from a registry, and the one that is built into every
# engine since 20.10 will do. docs/images.md says what the arguments are for.

# A mirror of Docker Hub.
ARG BASE_REGISTRY=docker.io
# The digests are those of the index of all platforms; the tags before them are for people.
#
# Python 3.11.16 on Debian 12. Found in more than nine independent public files, of which one had compared it with
# docker-library/repo-info on 2026-09-22. Not pulled by the authors.
ARG PYTHON311_IMAGE=${BASE_REGISTRY}/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
# Python 3.7.17 on Debian 12, the last 3.7. Four independent projects pin it, and four public logs of pulls and builds show
# it. Not pulled by the authors.
ARG PYTHON37_IMAGE=${BASE_REGISTRY}/library/python:3.7-slim@sha256:b53f496ca43e5af6994f8e316cf03af31050bf7944e0e4a308ad86c001cf028b

# The Edge TPU compiler 16.0, from where a project that uses it keeps it. The hash was found in one public repository only,
# and the authors did not download the file: compare it with a copy that you trust, or name another file with its hash.
ARG EDGETPU_URL=https://github.com/ultralytics/assets/releases/download/v0.0.0/edgetpu-compiler_16.0_amd64.tar.gz
ARG EDGETPU_SHA256=f9a97adbf2ff621d24a91721191264f2abc3c1db31e63d9a266d988f907269ce

# Debian and Python, without what only builds.
FROM ${PYTHON311_IMAGE} AS root311
RUN --mount=type=bind,source=docker,target=/run/docker /run/docker/root-filesystem /rootfs

FROM ${PYTHON37_IMAGE} AS root37
RUN --mount=type=bind,source=docker,target=/run/docker /run/docker/root-filesystem /rootfs

# From the same locks as the environments of the local executor.
FROM ${PYTHON311_IMAGE} AS tf2-environment
ARG PIP_INDEX_URL
RUN --mount=type=bind,source=docker,target=/run/docker \
    --mount=type=bind,source=dlpubuild/toolchains/locks/tf2-linux-x86_64.txt,target=/run/lock.txt \
    --mount=type=secret,id=ca \
    /run/docker/python-environment --toolchain tf2 /opt/tc /run/lock.txt

FROM ${PYTHON37_IMAGE} AS tf1-environment
ARG PIP_INDEX_URL
RUN --mount=type=bind,source=docker,target=/run/docker \
    --mount=type=bind,source=dlpubuild/toolchains/locks/tf1-linux-x86_64.txt,target=/run/lock.txt \
    --mount=type=secret,id=ca \
    /run/docker/python-environment --toolchain tf1 --source-only gast /opt/tc /run/lock.txt

FROM ${PYTHON311_IMAGE} AS onnx-environment
ARG PIP_INDEX_URL
RUN --mount=type=bind,source=docker,target=/run/docker \
    --mount=type=bind,source=dlpubuild/toolchains/locks/onnx-linux-x86_64.txt,target=/run/lock.txt \
    --mount=type=secret,id=ca \
    /run/docker/python-environment --toolchain onnx /opt/tc /run/lock.txt

# For what is no Python package: the step scripts want their interpreter in the same place everywhere.
FROM ${PYTHON311_IMAGE} AS bare-environment
RUN --mount=type=bind,source=docker,target=/run/docker /run/docker/python-environment /opt/tc /dev/null

# dlpubuild itself, as a wheel of this context, with the dependencies that it is tested with.
FROM ${PYTHON311_IMAGE} AS tool
ARG PIP_INDEX_URL
RUN --mount=type=bind,source=docker,target=/run/docker \
    --mount=type=bind,source=requirements/build.txt,target=/run/lock.txt \
    --mount=type=secret,id=ca \
    /run/docker/python-environment /build /run/lock.txt
WORKDIR /source
# 1980-01-01: the first time that a wheel can express.
RUN --mount=type=bind,target=/source \
    --mount=type=secret,id=ca \
    SOURCE_DATE_EPOCH=315532800 /build/bin/python -m hatchling build --target wheel --directory /wheels \
    && docker/python-environment --wheel "$(echo /wheels/*.whl)" /opt/dlpubuild requirements/run.txt

FROM ${PYTHON311_IMAGE} AS edgetpu-compiler
ARG EDGETPU_URL
ARG EDGETPU_SHA256
RUN --mount=type=bind,source=docker,target=/run/docker \
    --mount=type=secret,id=ca \
    /run/docker/fetch "$EDGETPU_URL" "$EDGETPU_SHA256" /edgetpu.tar.gz \
    && mkdir /edgetpu \
    && tar --extract --gzip --no-same-owner --file=/edgetpu.tar.gz --directory=/edgetpu \
    && /edgetpu/usr/bin/edgetpu_compiler --version

FROM ${PYTHON311_IMAGE} AS ambarella-libraries
ARG APT_MIRROR
ARG APT_SECURITY_MIRROR
# What NumPy, OpenCV and ONNX Runtime load from a system. What the toolchain needs beyond that is not public.
ARG AMBARELLA_PACKAGES="libglib2.0-0 libgomp1"
# hadolint ignore=SC2086
RUN --mount=type=bind,source=docker,target=/run/docker \
    --mount=type=secret,id=ca \
    /run/docker/debian-packages /packages $AMBARELLA_PACKAGES

# Debian 12 has Docker 20.10, which engines from 29 on refuse; the client of Debian 13 talks to all of them. It needs the C
# library only.
FROM ${PYTHON311_IMAGE} AS clients
ARG APT_MIRROR
ARG APT_SECURITY_MIRROR
RUN --mount=type=bind,source=docker,target=/run/docker \
    --mount=type=secret,id=ca \
    /run/docker/debian-packages /packages openssh-client \
    && /run/docker/debian-packages /packages --suite trixie docker-cli docker-buildx \
    && /packages/usr/bin/docker --version \
    && /packages/usr/libexec/docker/cli-plugins/docker-buildx version

FROM scratch AS tf2
COPY --from=root311 /rootfs/ /
COPY --from=tf2-environment /opt/tc/ /opt/tc/
ENV PATH=/opt/tc/bin:/usr/local/bin:/usr/bin:/bin
USER 65532:65532
CMD ["python"]
LABEL org.dlpubuild.image="tf2" \
      org.opencontainers.image.title="dlpubuild tf2" \
      org.opencontainers.image.description="TensorFlow 2.19.1 on Python 3.11: imports, calibrates and quantizes models" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM scratch AS tf1
COPY --from=root37 /rootfs/ /
COPY --from=tf1-environment /opt/tc/ /opt/tc/
ENV PATH=/opt/tc/bin:/usr/local/bin:/usr/bin:/bin
USER 65532:65532
CMD ["python"]
LABEL org.dlpubuild.image="tf1" \
      org.opencontainers.image.title="dlpubuild tf1" \
      org.opencontainers.image.description="TensorFlow 1.15.5 on Python 3.7: converts frozen quantization-aware graphs" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM scratch AS onnx
COPY --from=root311 /rootfs/ /
COPY --from=onnx-environment /opt/tc/ /opt/tc/
ENV PATH=/opt/tc/bin:/usr/local/bin:/usr/bin:/bin
USER 65532:65532
CMD ["python"]
LABEL org.dlpubuild.image="onnx" \
      org.opencontainers.image.title="dlpubuild onnx" \
      org.opencontainers.image.description="ONNX, onnx2tf and TensorFlow 2.19.1 on Python 3.11: converts ONNX models to TensorFlow and back" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM scratch AS edgetpu
ARG EDGETPU_SHA256
COPY --from=root311 /rootfs/ /
COPY --from=bare-environment /opt/tc/ /opt/tc/
COPY --from=edgetpu-compiler /edgetpu/usr/ /usr/
ENV PATH=/opt/tc/bin:/usr/local/bin:/usr/bin:/bin
USER 65532:65532
CMD ["edgetpu_compiler", "--help"]
LABEL org.dlpubuild.image="edgetpu" \
      org.dlpubuild.edgetpu-sha256="${EDGETPU_SHA256}" \
      org.opencontainers.image.title="dlpubuild edgetpu" \
      org.opencontainers.image.description="The Edge TPU compiler 16.0, for ARTPEC-7" \
      org.opencontainers.image.licenses="LicenseRef-Edge-TPU-Compiler"

FROM scratch AS ambarella
COPY --from=root311 /rootfs/ /
COPY --from=bare-environment /opt/tc/ /opt/tc/
COPY --from=ambarella-libraries /packages/ /
ENV PATH=/opt/tc/bin:/usr/local/bin:/usr/bin:/bin
USER 65532:65532
CMD ["python"]
LABEL org.dlpubuild.image="ambarella" \
      org.opencontainers.image.title="dlpubuild ambarella" \
      org.opencontainers.image.description="A system for the Ambarella toolchain, which is not in it, for CV25 and CV75" \
      org.opencontainers.image.licenses="Apache-2.0"

# No entry point in these two: CI systems start a shell.
FROM scratch AS cli
COPY --from=root311 /rootfs/ /
COPY --from=tool /opt/dlpubuild/ /opt/dlpubuild/
COPY --from=clients /packages/ /
ENV PATH=/opt/dlpubuild/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/home/dlpubuild
USER 65532:65532
CMD ["dlpubuild", "--help"]
LABEL org.dlpubuild.image="cli" \
      org.opencontainers.image.title="dlpubuild cli" \
      org.opencontainers.image.description="dlpubuild with the Docker client: steps run in a container engine" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM scratch AS cli-tf2
COPY --from=root311 /rootfs/ /
COPY --from=tf2-environment /opt/tc/ /opt/tc/
COPY --from=tool /opt/dlpubuild/ /opt/dlpubuild/
COPY --from=tf2-environment /toolchains/ /opt/dlpubuild/toolchains/
ENV PATH=/opt/dlpubuild/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/home/dlpubuild \
    DLPU_EXECUTOR=local \
    DLPU_TOOLCHAINS=/opt/dlpubuild/toolchains
USER 65532:65532
CMD ["dlpubuild", "--help"]
LABEL org.dlpubuild.image="cli-tf2" \
      org.opencontainers.image.title="dlpubuild cli-tf2" \
      org.opencontainers.image.description="dlpubuild with TensorFlow 2.19.1: steps run in this container, without an engine" \
      org.opencontainers.image.licenses="Apache-2.0"
