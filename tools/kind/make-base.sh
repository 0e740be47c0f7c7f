#!/usr/bin/env bash
# Makes of a folder with Debian's packages what kind's own base image is (images/base/Dockerfile in kind's module), with Debian's containerd,
# runc and CNI plugins. Run by mmdebstrap.
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
# Kind asks more of ctr than Debian's knows: whether containerd answers, and labels for images.
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

# Only what a node needs is started.
rm -f "$root"/lib/systemd/system/{multi-user,local-fs}.target.wants/* "$root"/etc/systemd/system/*.wants/* \
	"$root"/lib/systemd/system/sockets.target.wants/*{udev,initctl}* "$root"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
echo 'ReadKMsg=no' >>"$root/etc/systemd/journald.conf"
chroot "$root" systemctl --quiet enable kubelet.service containerd.service undo-mount-hacks.service
chroot "$root" systemctl --quiet mask systemd-binfmt.service

chroot "$root" ctr oci spec | jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
	>"$root/etc/containerd/cri-base.json"
# The first pod of a node would turn this on, but the control plane may have none, and passes on what comes to the API's port.
echo net.ipv4.ip_forward=1 >"$root/etc/sysctl.d/20-forwarding.conf"
# Machines may lack the right to lower the score by which the kernel ends processes, and have the first version of control groups.
sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$root/etc/containerd/config.toml"
printf ' --fail-cgroupv1=false\n' >>"$root/etc/default/kubelet"
