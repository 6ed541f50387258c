#!/usr/bin/env bash
# Makes the plugins of a version of the contract: `make.sh VERSION`. Needs tunesmith, cargo
# and npm. What is there already stays as it is.
set -euo pipefail
version=${1:?the version of the contract, such as 0.1.0}
here=$(cd "$(dirname "$0")" && pwd)
tunesmith=${TUNESMITH:-$here/../../target/debug/tunesmith}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

keep() { # NAME FILE PROJECT
  if [ -e "$here/$1.wasm" ]; then
    echo "$1.wasm is there and stays" >&2
    return
  fi
  cp "$2" "$here/$1.wasm"
  cp -r "$3/cases" "$here/$1.cases"
  "$tunesmith" plugin test "$here/$1.wasm"
}

"$tunesmith" plugin new compat-rust --lang rust
# Panics name source files: without this, by where they lie on this machine.
(cd compat-rust && RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/registry" \
  cargo build --target-dir target)
keep "rust-$version" compat-rust/target/wasm32-unknown-unknown/debug/compat_rust.wasm compat-rust

"$tunesmith" plugin new compat-quickjs --lang js
(cd compat-quickjs && npm ci && npm run build)
keep "quickjs-$version" compat-quickjs/dist/compat-quickjs.wasm compat-quickjs
