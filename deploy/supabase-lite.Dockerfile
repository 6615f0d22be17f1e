# Supabase lite for a server without a Supabase of its own: one process, its rows and keys in a volume.
FROM node:24.11.0-bookworm-slim
ENV LITE_TELEMETRY=0 \
    LITE_PORT=54321
WORKDIR /opt/lite
COPY embedded/node/package.json embedded/node/package-lock.json embedded/node/.npmrc ./
RUN npm ci --omit=dev
COPY supabase/migrations migrations
COPY deploy/supabase-lite.sh start.sh
RUN useradd --system --uid 10001 --create-home lite && mkdir /data && chown lite /data
USER 10001
WORKDIR /data
# Healthy is: a row of the migrations' tables can be read, not only that a port is open.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=12 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.LITE_PORT}/rest/v1/instances?limit=1`, {headers: {apikey: process.env.SUPABASE_SECRET_KEY}}).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["sh", "/opt/lite/start.sh"]
