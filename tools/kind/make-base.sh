#!/usr/bin/env bash
# Turns a root file system with Debian packages into the equivalent of kind's base image
# (images/base/Dockerfile in kind's module), with Debian's containerd, runc and CNI plugins. Run by
# mmdebstrap.
# Usage: make-base.sh FOLDER KIND CRICTL
set -euo pipefail
root=$1 files=$2/images/base/files

cp -r --no-preserve=mode,ownership "$files/." "$root"
chmod -R go-w "$root"/{kind,usr/local,etc/systemd/system,etc/containerd,etc/default,etc/sysctl.d}
chmod 755 "$root"/kind/bin/* "$root"/usr/local/bin/*
cp "$3" "$root/usr/local/bin"
mkdir -p "$root/opt/cni" "$root/etc/kubernetes/manifests"
ln -s /usr/lib/cni "$root/opt/cni/bin"
ln -s /usr/bin/containerd "$root/usr/local/bin/containerd"
ln -sf /usr/lib/systemd/systemd "$root/sbin/init"
# kind uses a command and a flag that Debian's ctr lacks.
cat >"$root/usr/local/bin/ctr" <<'SH'
#!/bin/sh
for argument; do
	shift
	case $argument in
	info) set -- "$@" version ;;
	--label=*) ;;
	*) set -- "$@" "$argument" ;;
	esac
done
exec /usr/bin/ctr "$@"
SH
chmod 755 "$root/usr/local/bin/ctr"

# Disable all services but those of a node.
rm -f "$root"/lib/systemd/system/{multi-user,local-fs}.target.wants/* "$root"/etc/systemd/system/*.wants/* \
	"$root"/lib/systemd/system/sockets.target.wants/*{udev,initctl}* "$root"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
echo 'ReadKMsg=no' >>"$root/etc/systemd/journald.conf"
chroot "$root" systemctl --quiet enable kubelet.service containerd.service undo-mount-hacks.service
chroot "$root" systemctl --quiet mask systemd-binfmt.service

chroot "$root" ctr oci spec | jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
	>"$root/etc/containerd/cri-base.json"
# The CNI plugin turns this on with a node's first pod. The control plane may have none, but forwards
# connections to the API's node port.
echo net.ipv4.ip_forward=1 >"$root/etc/sysctl.d/20-forwarding.conf"
# For machines without CAP_SYS_RESOURCE, or with cgroup v1.
sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$root/etc/containerd/config.toml"
printf ' --fail-cgroupv1=false\n' >>"$root/etc/default/kubelet"
