#!/usr/bin/env bash
# Writes an archive of the files of an image with PostgreSQL, Kafka, Redis and Prometheus, from this
# machine's Debian or Ubuntu repositories, Kafka's jars, and a Prometheus program, because the
# package's lacks Kubernetes service discovery. Usage: make-root.sh ROOT.tar JARS PROMETHEUS
set -euo pipefail
root=$1 jars=$2 prometheus=$3
scripts=$(dirname "$0")

for sources in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources /etc/apt/sources.list ''; do
	[[ ! -e $sources ]] || break
done
[[ $sources ]] || { echo "this machine has neither Debian's nor Ubuntu's packages" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
apt-config dump Acquire >"$work/apt.conf" # apt's access to the repositories, for example a proxy

# Without LLVM, which is larger than PostgreSQL itself, queries are not JIT-compiled.
mmdebstrap --quiet --mode=root --variant=essential --include=postgresql,default-jre-headless,redis-server \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--dpkgopt='path-exclude=/usr/lib/postgresql/*/lib/llvmjit*' --dpkgopt='path-exclude=/usr/lib/postgresql/*/lib/bitcode/*' \
	--dpkgopt='path-exclude=/usr/lib/*/libLLVM*' --dpkgopt='path-exclude=/usr/lib/*/libz3*' \
	--aptopt="$work/apt.conf" --customize-hook="bash '$scripts/customize.sh' \"\$1\" '$jars' '$prometheus'" \
	'' "$root" "$sources"
