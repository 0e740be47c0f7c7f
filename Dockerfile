# One program and nothing else: `make build` links each statically into build/bin, which is the build context.
#
#   docker build --build-arg PROGRAM=api -t merchstore/api build/bin -f Dockerfile
#
# `make images` builds the same without a container engine.
FROM scratch
ARG PROGRAM
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="merchstore ${PROGRAM}" \
      org.opencontainers.image.description="SUSTech Merch Store" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --chmod=0555 ${PROGRAM} /program
USER 65532:65532
ENTRYPOINT ["/program"]
