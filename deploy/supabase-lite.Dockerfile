# Supabase lite for a server without a Supabase of its own: one process, its rows in a volume.
FROM node:24.11.0-bookworm-slim
ENV LITE_TELEMETRY=0
WORKDIR /opt/lite
COPY embedded/node/package.json embedded/node/package-lock.json embedded/node/.npmrc ./
RUN npm ci --omit=dev
COPY supabase/migrations /opt/lite/migrations
COPY deploy/supabase-lite.sh /opt/lite/start.sh
RUN useradd --system --uid 10001 --create-home lite && mkdir /data && chown lite /data
USER 10001
WORKDIR /data
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=12 \
    CMD ["node", "-e", "fetch('http://127.0.0.1:54321/rest/v1/').then(r => process.exit(r.status < 500 ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["sh", "/opt/lite/start.sh"]
