# One static binary in an empty image, run by a user without name or shell.
#   docker build -t privet .
#   docker run -p 8443:8443 -v ./privet:/etc/privet:ro -v privet-state:/var/lib/privet privet

FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin privet \
    && mkdir -p /out/state /out/etc \
    && cp target/release/privet /out/privet

FROM scratch
# Root certificates, for `trust: system`.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# Audit log and other state. Keep it on a local disk: every answer waits for a flush to it.
COPY --from=build --chown=65532:65532 /out/state /var/lib/privet
COPY --from=build /out/etc /etc/privet
COPY --from=build /out/privet /usr/local/bin/privet
USER 65532:65532
VOLUME /var/lib/privet
EXPOSE 8443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/privet", "health"]
ENTRYPOINT ["/usr/local/bin/privet"]
CMD ["run", "--config", "/etc/privet/privet.yaml"]
