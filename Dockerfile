# syntax=docker/dockerfile:1
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:24-slim
LABEL org.opencontainers.image.title="Trainyard" \
      org.opencontainers.image.description="A self-hosted HTTP service that trains neural networks and explains their numbers." \
      org.opencontainers.image.licenses="MIT"
# Inside a container only the published port is reachable, so the service listens on every interface of the container.
# Publish it on 127.0.0.1, or set API_KEYS, before anybody else can reach it.
# Compiled code is kept beside the data: every start after the first takes less than half the time.
# MALLOC_*, --max-semi-space-size: memory that is not needed any more goes back to the system sooner.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=3000 \
    DATA_DIR=/data \
    NODE_COMPILE_CACHE=/data/compiled \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=262144 \
    ALLOW_UNAUTHENTICATED=true
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY src ./src
COPY routes ./routes
RUN mkdir /data && chown 10001:10001 /data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--max-semi-space-size=4", "src/server.ts"]
