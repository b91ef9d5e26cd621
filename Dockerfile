# Build: all packages, compiled once. Run: only what the operator needs, as nobody in particular, on a read-only root.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY hack/finish-build.mjs hack/
COPY src/ src/
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ARG VERSION=0.0.0-dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sip-router-operator" \
      org.opencontainers.image.description="Kubernetes operator for SIP routing: SipRouter and PbxBackend resources become a verified Kamailio fleet" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production NODE_OPTIONS=--enable-source-maps
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules/ node_modules/
COPY --from=build /app/dist/ dist/
COPY LICENSE ./
RUN ln -s /app/dist/main.js /usr/local/bin/sip-router-operator \
 && rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn*
# A number, so that runAsNonRoot can be checked without the image's user table.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["sip-router-operator"]
CMD ["run"]
