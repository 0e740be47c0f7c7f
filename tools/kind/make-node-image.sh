#!/usr/bin/env bash
# Builds images of programs and Debian's files, and from these node.tar, with `kind build node-image`.
# Needs Docker; see ../build-kind-image.
# Usage: make-node-image.sh FOLDER KUBERNETES-VERSION KIND INFRASTRUCTURE.tar IMAGE ...
set -euo pipefail
cd "$1"
kubernetes=$2 kind=$3 infrastructure=$4

# build IMAGE FILE ... builds an image of files, with the Dockerfile on standard input.
build() {
	rm -rf context
	mkdir context
	ln "${@:2}" context
	cat >context/Dockerfile
	docker build --quiet --tag "$1" context >/dev/null
}

# program IMAGE BASE PROGRAM builds an image of a program.
images=()
program() {
	build "$1" "bin/$3" <<-DOCKERFILE
		FROM $2
		ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		COPY $3 /usr/local/bin/
		ENTRYPOINT ["/usr/local/bin/$3"]
	DOCKERFILE
	images+=("$1")
}

build merchstore/kind-tools tools.tar <<<$'FROM scratch\nADD tools.tar /'
build merchstore/kind-base base.tar <<-'DOCKERFILE' # as in kind's own base image
	FROM scratch
	ADD base.tar /
	ENV container=docker
	STOPSIGNAL SIGRTMIN+3
	ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
DOCKERFILE

# The images that kubeadm and kind require, by their names, and those of the arguments.
for image in $(bin/kubeadm config images list --kubernetes-version "$kubernetes") \
	$(sed -n 's/.*sandbox_image = "\(.*\)"/\1/p' "$kind/images/base/files/etc/containerd/config.toml") \
	$(grep -oh 'docker.io/kindest/[^"]*' "$kind"/pkg/build/nodeimage/const_{cni,storage}.go) "${@:5}"; do
	name=${image##*/}
	case ${name%:*} in
	kube-proxy) program "$image" merchstore/kind-tools kube-proxy ;;
	kindnetd) program "$image" merchstore/kind-tools kindnet ;;
	local-path-helper) docker tag merchstore/kind-tools "$image" && images+=("$image") ;;
	*) program "$image" scratch "${name%:*}" ;;
	esac
done
docker load --quiet --input "$infrastructure"
images+=(test.merchstore.io/infrastructure:dev)

# The files of a Kubernetes release that kind reads. All images are in one archive: kind reads the names
# from its file `repositories`, in full, if that comes first.
release=kubernetes/server/bin
mkdir -p saved "$release"
docker save "${images[@]}" | tar --extract --directory saved
printf '%s\n' "${images[@]}" | jq --raw-input --null-input --compact-output \
	'[inputs | capture("(?<name>.*):(?<tag>.*)") | {(.name): {(.tag): ""}}] | add' >saved/repositories
mapfile -t rest < <(ls --ignore repositories saved)
tar --create --file "$release/kube-proxy.tar" --directory saved repositories "${rest[@]}"
for archive in kube-apiserver kube-controller-manager kube-scheduler; do
	docker save "$(printf '%s\n' "${images[@]}" | grep "/$archive:")" >"$release/$archive.tar"
done
ln bin/{kubeadm,kubelet,kubectl} "$release"
echo "$kubernetes" >kubernetes/version
tar --create --file - kubernetes | gzip --fast >release.tar.gz

# kind leaves what it extracts in the temporary folder.
TMPDIR=$PWD kind build node-image --type file release.tar.gz --base-image merchstore/kind-base --image merchstore/kind-node:dev
docker save merchstore/kind-node:dev >node.tar
docker image rm --force "${images[@]}" merchstore/kind-{base,tools} >/dev/null
