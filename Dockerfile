# syntax=docker/dockerfile:1
# The operator. Build: all packages, bundled once; hack/image/rootfs lays out what runs. Run: Node.js and the program with
# what it needs of its packages, and nothing else: no shell, no distribution, as nobody in particular, on a read-only root.
# The base image is named by its exact version; a release resolves it to one digest, for every platform (.github/workflows/release.yaml).
ARG NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim
FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
# without scripts: nothing that a package brings runs here
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY LICENSE ./
COPY hack/image/rootfs hack/image/rootfs
COPY hack/image/bundle.mjs hack/image/bundle.mjs
COPY src/ src/
RUN hack/image/rootfs --node /rootfs

FROM scratch
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="sip-router-operator" \
      org.opencontainers.image.description="Kubernetes operator for SIP routing: SipRouter and PbxBackend resources become a verified Kamailio fleet" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /rootfs/ /
ENV PATH=/usr/local/bin:/usr/bin:/bin NODE_ENV=production NODE_OPTIONS=--max-semi-space-size=8 MALLOC_ARENA_MAX=2
WORKDIR /app
# A number, so that runAsNonRoot can be checked without the image's user table.
USER 65532:65532
EXPOSE 8080
# the heap grows by little at a time: the operator lives as long as the cluster, and its limit of memory is small
ENTRYPOINT ["/usr/local/bin/node", "--heap-growing-percent=30", "--expose-gc", "/app/dist/main.js"]
CMD ["run"]
