#!/usr/bin/env bash
# Completes the root file system with Debian's programs for kube-proxy, the network and local volumes.
# Their packages are only unpacked, so links of their installation are missing.
# Usage: make-tools.sh FOLDER
set -euo pipefail
root=$1
for program in ip{,6}tables{,-save,-restore}; do ln -sf xtables-nft-multi "$root/usr/sbin/$program"; done
for program in sh mkdir rm; do ln -sf busybox "$root/bin/$program"; done
