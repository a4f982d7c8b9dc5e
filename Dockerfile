# Rollback Bot. Needs two volumes: the state (below), and the project with its migrations, mounted read-only at /project.
FROM python:3.13-slim-trixie AS base

# ---- pg_dump and pg_restore of every supported major: a dump is only taken with the server's own ----
FROM base AS tools
ARG PG_MAJORS="14 15 16 17 18"
# Debian signs the package that holds the repository's key and its setup script: no key is downloaded by hand.
# No version pins: minor versions must move with security updates, and old ones vanish from the mirrors.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates postgresql-common \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && for major in $PG_MAJORS; do \
         apt-get install -y --no-install-recommends "postgresql-client-$major" || exit 1; \
         install -D -t "/tools/$major/bin" \
           "/usr/lib/postgresql/$major/bin/pg_dump" "/usr/lib/postgresql/$major/bin/pg_restore" || exit 1; \
       done \
    && rm -rf /var/lib/apt/lists/*

# ---- the program, compiled ----
FROM base AS build
WORKDIR /app
COPY requirements.lock ./
# pip is listed because sqlite-utils names it; nothing here calls it, and an image needs no installer.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-compile \
         --require-hashes -r requirements.lock \
    && /opt/venv/bin/python -m pip uninstall -y pip
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY bot ./bot
COPY core ./core
# The root file system is read-only, so bytecode is made now; unchecked: the sources cannot change any more.
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib bot core

# ---- what runs ----
FROM base
LABEL org.opencontainers.image.title="Rollback Bot" \
      org.opencontainers.image.description="Undoes PostgreSQL migrations in an incident, with proof, a second person and an audit trail." \
      org.opencontainers.image.licenses="MIT"
COPY --from=tools /usr/share/postgresql-common/pgdg /usr/share/postgresql-common/pgdg
COPY --from=tools /etc/apt/sources.list.d/pgdg.sources /etc/apt/sources.list.d/
# No version pins, as above. pip of the base image goes too.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 liblz4-1 libzstd1 tini zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall -y pip \
    && groupadd --gid 10001 rollback \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/rollback-bot --shell /usr/sbin/nologin rollback \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/rollback-bot
COPY --from=tools /tools /usr/lib/postgresql
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# The shell's door for `docker exec`; then every tool is started once, so that a missing library stops the build.
RUN printf '%s\n' '#!/bin/sh' 'exec /opt/venv/bin/python -m core "$@"' > /usr/local/bin/rollback \
    && chmod 755 /usr/local/bin/rollback \
    && for tool in /usr/lib/postgresql/*/bin/*; do "$tool" --version || exit 1; done

# SAFEPATH: a project mounted below may have packages called `bot` or `core` of its own.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ROLLBACK_HEALTH_LISTEN=0.0.0.0:8787 \
    HOME=/var/lib/rollback-bot \
    XDG_STATE_HOME=/var/lib
USER 10001:10001
# rollback.toml is read from here.
WORKDIR /project
# The ledger (audit trail) and the backups. Keep it.
VOLUME /var/lib/rollback-bot
# /healthz, /readyz, /metrics
EXPOSE 8787
# Healthy: the bot holds its lock and its heartbeat is fresh.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["python", "-m", "bot", "--healthy"]
ENTRYPOINT ["tini", "--", "python", "-m", "bot"]
