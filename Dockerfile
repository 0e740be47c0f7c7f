# One static program. The context contains only this file and the program, see tools/build-docker-image;
# tools/build-images works without a container engine. An image changes only with its program: VERSION
# and REVISION have the same values in all checkouts.
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
