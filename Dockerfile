# Two images from one build:
#   docker build --target operator -t etl-operator:0.1.0 .
#   docker build --target worker   -t etl-worker:0.1.0 .
# Without a container engine: cargo xtask image.

# Debian 12 has the C library of distroless/cc-debian12.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p etl-operator -p etl-worker \
    && mkdir /out \
    && cp target/release/etl-operator target/release/etl-worker /out/

FROM gcr.io/distroless/cc-debian12:nonroot AS worker
COPY --from=build /out/etl-worker /usr/local/bin/etl-worker
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/etl-worker"]

FROM gcr.io/distroless/cc-debian12:nonroot AS operator
COPY --from=build /out/etl-operator /usr/local/bin/etl-operator
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/etl-operator"]
CMD ["run"]
