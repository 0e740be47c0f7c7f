#!/usr/bin/env bash
# Turns the files of packages, in a folder, into those of an image. The links are for the chart,
# which uses the paths of the official images. Usage: customize.sh FOLDER JARS PROMETHEUS
set -euo pipefail
root=$1 jars=$2 prometheus=$3
scripts=$(dirname "$0")

mkdir -p "$root/opt/kafka/bin"
cp -r "$jars" "$root/opt/kafka/libs"
install -m 755 "$scripts"/kafka-*.sh "$root/opt/kafka/bin"
install -m 755 "$scripts/entrypoint.sh" "$root/usr/local/bin"
install -m 755 "$prometheus" "$root/usr/bin/prometheus"
chroot "$root" sh -c 'ln -s /usr/lib/postgresql/* /opt/postgresql'
ln -s redis-server "$root/usr/bin/valkey-server"
ln -s redis-cli "$root/usr/bin/valkey-cli"
# The users of the official images, which PostgreSQL looks up.
printf 'database:x:999:999::/tmp:/bin/sh\nkafka:x:1000:1000::/tmp:/bin/sh\n' >>"$root/etc/passwd"
# Remove the package configuration of this machine, and the database of the package.
rm -rf "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/apt/sources.list* "$root"/var/lib/postgresql/*
