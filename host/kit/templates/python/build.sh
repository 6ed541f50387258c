#!/bin/sh
# Builds the plugin: dist/my-method.wasm.
set -eu
cd "$(dirname "$0")"
mkdir -p dist
# --stub-wasi: without files, clock and network, which a plugin does not have anyway.
.venv/bin/componentize-py --quiet -d wit -w plugin componentize --stub-wasi -p src -p sdk app -o dist/my-method.wasm
