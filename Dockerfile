# One program and nothing else: `make build` links each statically into build/bin. The context has just that and this file, see
# tools/build-docker-image; tools/build-images does it without a container engine. An image is another only if its program is:
# VERSION and REVISION are for releases.
FROM scratch
ARG PROGRAM
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="merchstore ${PROGRAM}" \
      org.opencontainers.image.description="SUSTech Merch Store" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY ${PROGRAM} /program
USER 65532:65532
ENTRYPOINT ["/program"]
