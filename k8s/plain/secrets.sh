#!/usr/bin/env bash
# Generates the passwords and keys for kustomization.yaml in secrets/, unless they exist. Keep these
# files: the database uses the passwords.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

# random prints 32 hexadecimal digits.
random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# keep NAME writes its standard input to secrets/NAME.env, unless that exists.
keep() { [[ -e secrets/$1.env ]] || { cat >"secrets/$1.env.part" && mv "secrets/$1.env.part" "secrets/$1.env"; }; }

keep jwt <<<"keys=k1:$(random)$(random)"
keep admin <<<"username=admin
password=$(random)"
password=$(random)
keep postgresql <<<"postgres-password=$(random)
password=$password
url=postgres://merchstore:$password@store-postgresql:5432/merchstore"
password=$(random)
keep postgresql-app <<<"password=$password
url=postgres://merchstore_app:$password@store-postgresql:5432/merchstore"
keep kafka <<<"username=merchstore
password=$(random)"
password=$(random)
keep valkey <<<"password=$password
url=rediss://:$password@store-valkey:6379/0"
keep grafana <<<"username=admin
password=$(random)"
echo "The admin's name and password are in $PWD/secrets/admin.env"
