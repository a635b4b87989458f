#!/usr/bin/env bash
# Build the site and the programs.
#
#   IOG_FRONT=release|dev     the browser's module: small (default) or quick to build
#   IOG_PROFILE=dev|release   the server and the worker (default: dev)
#   IOG_ALSO=bench            one more package, built with the programs: by itself it would build much of them again
#   scripts/build.sh front    the site alone
#
# These are the five steps of cargo-leptos, read from the same [[workspace.metadata.leptos]]: compile the app to wasm,
# wasm-bindgen, wasm-opt, Tailwind, compile the server; and the same layout, so that `cargo leptos watch` can be used at
# the desk. cargo-leptos itself is not used here because installing it costs a bare machine 48 CPU-minutes (760 crates).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

FRONT_KIND=${IOG_FRONT:-release}
PROFILE=${IOG_PROFILE:-dev}
case $FRONT_KIND in release | dev) ;; *) die "IOG_FRONT is '$FRONT_KIND'; it can be release or dev" ;; esac
case $PROFILE in release | dev) ;; *) die "IOG_PROFILE is '$PROFILE'; it can be release or dev" ;; esac
case $PROFILE in dev) PROGRAMS=$TARGET/debug ;; release) PROGRAMS=$TARGET/release ;; esac

# Brotli, as browsers receive it. Above the limit the build fails; above the goal it says so.
WASM_GOAL_KB=250
WASM_LIMIT_KB=300

# ---- What to build, from the workspace's metadata ---------------------------------------------------------------
metadata=$(cargo metadata --no-deps --format-version 1 | node -e '
  const { metadata, packages } = JSON.parse(require("fs").readFileSync(0));
  const leptos = metadata.leptos[0];
  const lib = packages.find((p) => p.name === leptos["lib-package"]).targets.find((t) => t.crate_types.includes("cdylib"));
  const quoted = (text) => "\x27" + String(text).replaceAll("\x27", "") + "\x27";
  console.log(Object.entries({
    NAME: leptos["output-name"], APP: leptos["lib-package"], CRATE: lib.name.replaceAll("-", "_"),
    SERVER: leptos["bin-package"], FEATURES: leptos["lib-features"].join(","), STYLE: leptos["tailwind-input-file"],
    ASSETS: leptos["assets-dir"], PKG: leptos["site-pkg-dir"], WASM_PROFILE: leptos["lib-profile-" + process.argv[1]],
  }).map(([name, value]) => name + "=" + quoted(value)).join("\n"));' "$FRONT_KIND")
eval "$metadata"

WORK=$FRONT/$FRONT_KIND
RAW=$TARGET/wasm32-unknown-unknown/$([ "$WASM_PROFILE" = dev ] && echo debug || echo "$WASM_PROFILE")/$CRATE.wasm
RAW_VERIFY=$(dirname "$RAW")/verify.wasm
mkdir -p "$WORK"
hash_of() { sha256sum "$1" | cut -c1-20; }

# ---- The steps ----------------------------------------------------------------------------------------------------
compile_app() {
  cargo build --package "$APP" --lib --target wasm32-unknown-unknown --no-default-features --features "$FEATURES" \
    --profile "$WASM_PROFILE"
}

# The page /verify has a module of its own: what it needs (curves, hashes) is not in the portal's.
compile_verify() {
  cargo build --package verify --lib --target wasm32-unknown-unknown --profile "$WASM_PROFILE"
}

bind_verify() {
  rm -rf "$WORK/verify"
  wasm-bindgen --target web --no-typescript --out-name verify --out-dir "$WORK/verify" "$RAW_VERIFY"
  if [ "$FRONT_KIND" = release ]; then
    wasm-opt -Oz "$WORK/verify/verify_bg.wasm" -o "$WORK/verify/small.wasm"
    mv "$WORK/verify/small.wasm" "$WORK/verify/verify_bg.wasm"
  fi
  printf '%s' "$1" > "$WORK/verify.key"
}

# What speaks with wallets, and apart from it what only a deposit needs: each name carries a hash of what is in it.
bundle_wallet() {
  rm -rf "$WORK/wallet"
  (cd wallet && esbuild wallet.js --bundle --minify --splitting --format=esm --platform=browser --log-level=warning \
    --alias:poseidon-lite=./absent.js --entry-names=wallet.[hash] --chunk-names=wallet-[name].[hash] --outdir="$WORK/wallet")
  printf '%s' "$1" > "$WORK/wallet.key"
}

# Work in a job: the script for its files, and apart from it the terminal, which is loaded when it is asked for.
bundle_terminal() {
  rm -rf "$WORK/terminal"
  (cd terminal && esbuild work.js --bundle --minify --splitting --format=esm --platform=browser --log-level=warning \
    --inject:./strict.js --define:window.document=strictDocument --loader:.css=text --entry-names=work.[hash] --chunk-names=work-[name].[hash] --outdir="$WORK/terminal")
  printf '%s' "$1" > "$WORK/terminal.key"
}

bind() {
  rm -rf "$WORK/js"
  wasm-bindgen --target web --no-typescript --out-name "$NAME" --out-dir "$WORK/js" "$RAW"
  if [ "$FRONT_KIND" = release ]; then
    # The features that the compiler used stand in the module itself. What is known of values all over the program is used (--gufa), then -Oz once
    # more; functions in the order of their names lie beside those they are like, which brotli makes use of: 4 KB less together. Not -tnh, which
    # saves as little and may take out checks that panic.
    wasm-opt -Oz --gufa -Oz --reorder-functions-by-name "$WORK/js/${NAME}_bg.wasm" -o "$WORK/js/small.wasm"
    mv "$WORK/js/small.wasm" "$WORK/js/${NAME}_bg.wasm"
  fi
  printf '%s' "$1" > "$WORK/js.key"
}

style() {
  tailwindcss --cwd "$ROOT" --input "$STYLE" --output "$WORK/$NAME.css.new" --minify
  mv "$WORK/$NAME.css.new" "$WORK/$NAME.css"
  printf '%s' "$1" > "$WORK/css.key"
}

# File names carry a hash of the content, so that browsers may keep them for ever. Leptos reads the hashes from a file
# beside the server's program; see HydrationScripts and HashedStylesheet.
lay_out() {
  local new=$SITE.new js wasm css vjs vwasm
  rm -rf "$new"
  mkdir -p "$new/$PKG"
  [ ! -d "$ASSETS" ] || cp -R "$ASSETS/." "$new/"
  cp -R "$WORK/js/." "$new/$PKG/"
  wasm=$(hash_of "$WORK/js/${NAME}_bg.wasm")
  mv "$new/$PKG/${NAME}_bg.wasm" "$new/$PKG/$NAME.$wasm.wasm"
  # First the name inside the script, then the script's hash: the same name always means the same bytes.
  sed "s/${NAME}_bg\.wasm/$NAME.$wasm.wasm/g" "$WORK/js/$NAME.js" > "$new/$PKG/$NAME.js"
  js=$(hash_of "$new/$PKG/$NAME.js")
  mv "$new/$PKG/$NAME.js" "$new/$PKG/$NAME.$js.js"
  # The same for /verify; its loader's name is what the page knows.
  vwasm=$(hash_of "$WORK/verify/verify_bg.wasm")
  cp "$WORK/verify/verify_bg.wasm" "$new/$PKG/verify.$vwasm.wasm"
  sed "s/verify_bg\.wasm/verify.$vwasm.wasm/g" "$WORK/verify/verify.js" > "$WORK/verify/hashed.js"
  vjs=$(hash_of "$WORK/verify/hashed.js")
  cp "$WORK/verify/hashed.js" "$new/$PKG/verify.$vjs.js"
  sed "s/verify\.js/verify.$vjs.js/" verify/loader.js > "$new/$PKG/verify.js"
  cp "$WORK"/wallet/*.js "$new/$PKG/"
  local entry
  entry=$(cd "$WORK/wallet" && echo wallet.*.js)
  printf 'import "./%s";\n' "$entry" > "$new/$PKG/wallet.js"
  cp "$WORK"/terminal/*.js "$new/$PKG/"
  entry=$(cd "$WORK/terminal" && echo work.*.js)
  printf 'import "./%s";\n' "$entry" > "$new/$PKG/work.js"
  css=$(hash_of "$WORK/$NAME.css")
  cp "$WORK/$NAME.css" "$new/$PKG/$NAME.$css.css"
  if [ "$FRONT_KIND" = release ]; then
    # The server hands these out as they are instead of compressing the same bytes for each visitor.
    brotli --quality=11 --keep "$new/$PKG/$NAME.$wasm.wasm" "$new/$PKG/$NAME.$js.js" "$new/$PKG/$NAME.$css.css" \
      "$new/$PKG/verify.$vwasm.wasm" "$new/$PKG/verify.$vjs.js" "$new/$PKG"/wallet[.-]*.*.js \
      "$new/$PKG"/work[.-]*.*.js
  fi
  printf 'js: %s\nwasm: %s\ncss: %s\n' "$js" "$wasm" "$css" > "$FRONT/hash.txt"
  rm -rf "$SITE"
  mv "$new" "$SITE"
  printf '%s' "$1" > "$FRONT/site.key"
}

size_of_module() {
  local module raw small
  module=$(echo "$SITE/$PKG/$NAME".*.wasm)
  raw=$(stat -c %s "$module")
  small=$(stat -c %s "$module.br")
  say "  Browser's module: $(((raw + 1023) / 1024)) KB, $(((small + 1023) / 1024)) KB with brotli (goal $WASM_GOAL_KB, limit $WASM_LIMIT_KB)"
  [ "$small" -le $((WASM_LIMIT_KB * 1024)) ] ||
    die "the browser's module is larger than $WASM_LIMIT_KB KB with brotli: look for what a page drew in (cargo tree, twiggy)"
  [ "$small" -le $((WASM_GOAL_KB * 1024)) ] || say "  warning: that is above the goal of $WASM_GOAL_KB KB"
}

compile_programs() {
  local flags=()
  [ "$PROFILE" = dev ] || flags+=(--release)
  [ -z "${IOG_ALSO:-}" ] || flags+=(--package "$IOG_ALSO")
  cargo build --package "$SERVER" --package worker --package cli --package devchain --bins "${flags[@]}"
}

# ---- In order; a step whose inputs are what they were is passed over ---------------------------------------------------
step "Browser's module ($FRONT_KIND): compile" compile_app
key="$(hash_of "$RAW") $WASM_BINDGEN_VERSION $(content_key package-lock.json) $(content_key scripts/build.sh)"
[ "$(cat "$WORK/js.key" 2>/dev/null)" = "$key" ] || step "Browser's module: wasm-bindgen, wasm-opt" bind "$key"
step "Module of /verify ($FRONT_KIND): compile" compile_verify
key="$(hash_of "$RAW_VERIFY") $WASM_BINDGEN_VERSION $(content_key package-lock.json) $(content_key scripts/build.sh)"
[ "$(cat "$WORK/verify.key" 2>/dev/null)" = "$key" ] || step "Module of /verify: wasm-bindgen, wasm-opt" bind_verify "$key"
key="$(content_key wallet package-lock.json) $(content_key scripts/build.sh)"
[ "$(cat "$WORK/wallet.key" 2>/dev/null)" = "$key" ] || step "Script for wallets" bundle_wallet "$key"
key="$(content_key terminal package-lock.json) $(content_key scripts/build.sh)"
[ "$(cat "$WORK/terminal.key" 2>/dev/null)" = "$key" ] || step "Script for work in jobs" bundle_terminal "$key"
key="$(content_key style app verify package-lock.json)"
[ "$(cat "$WORK/css.key" 2>/dev/null)" = "$key" ] || step "Stylesheet" style "$key"
key="$FRONT_KIND $(cat "$WORK/js.key") $(cat "$WORK/verify.key") $(cat "$WORK/wallet.key") $(cat "$WORK/terminal.key") $(cat "$WORK/css.key") $(content_key "$ASSETS" verify/loader.js)"
if [ "$(cat "$FRONT/site.key" 2>/dev/null)" != "$key" ] || [ ! -d "$SITE" ]; then step "Site" lay_out "$key"; fi
[ "$FRONT_KIND" = dev ] || size_of_module

if [ "${1:-}" != front ]; then
  step "Programs ($PROFILE): compile" compile_programs
  cp "$FRONT/hash.txt" "$PROGRAMS/hash.txt"
fi
