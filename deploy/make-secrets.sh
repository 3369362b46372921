#!/bin/sh
# Make every secret of docker-compose.yml that is not there yet: sh deploy/make-secrets.sh [FOLDER]
#
# The folder is ./secrets unless said otherwise. Its mode keeps other users of this machine out; the
# files in it are readable, because containers read them as a user of their own. Nothing that exists
# is ever made anew: a new password would lock people out of old data. Needs openssl.
set -eu
umask 077
folder="${1:-secrets}"
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

put() { # NAME TEXT: write a file, with no line end: not every reader takes one away
  [ -e "$1" ] || { printf '%s' "$2" >".$1.new" && chmod 444 ".$1.new" && mv ".$1.new" "$1"; }
}
random() { openssl rand -hex 24; }
hashed() { # NAME: the SHA-256 of a secret, as the broker's list of accounts has it
  printf '%s' "$(cat "$1")" | openssl dgst -sha256 -r | cut -d' ' -f1
}

put postgres_password "$(random)"
for role in airflow_app mlflow_owner mlflow_app airlock_guard airlock_owner airlock_decider airlock_worker; do
  put "password_$role" "$(random)"
done
put service_password "$(random)"
put admin_password "$(random)"
put jwt_secret "$(openssl rand -hex 32)" # HS512 wants 64 bytes
put api_secret_key "$(random)"
put fernet_key "$(openssl rand 32 | openssl base64 | tr '+/' '-_')"

put postgres_admin_url "postgresql://postgres:$(cat postgres_password)@postgres:5432/postgres"
put airflow_database_url "postgresql+psycopg2://airflow_app:$(cat password_airflow_app)@postgres:5432/airflow"
put mlflow_database_url "postgresql+psycopg2://mlflow_app:$(cat password_mlflow_app)@postgres:5432/mlflow"
put airlock_guard_url "postgresql+psycopg://airlock_guard:$(cat password_airlock_guard)@postgres:5432/mlflow"
for role in owner decider worker; do
  put "airlock_${role}_url" "postgresql+psycopg://airlock_$role:$(cat "password_airlock_$role")@postgres:5432/airlock"
done

put password_mlflow_worker "$(random)"
put mlflow_accounts "airlock-worker:$(cat password_mlflow_worker)"
put mlflow_worker_account "[mlflow]
mlflow_tracking_username = airlock-worker
mlflow_tracking_password = $(cat password_mlflow_worker)"

# The broker's accounts. A worker may do what carrying tasks needs, on the keys of its own queue: it
# can neither read nor fill the other queue, and list no keys. Only the scheduler fills queues.
for name in scheduler airlock train; do
  put "password_redis_$name" "$(random)"
  put "redis_${name}_url" "redis://$name:$(cat "password_redis_$name")@redis:6379/0"
done
commands="-@all +@read +@write +@transaction +@connection +@pubsub +@scripting -@dangerous -@admin -scan -randomkey +info"
queue() { # NAME: the line of a worker's account
  keys="~$1 ~$1??[0-9]* ~unacked-$1* ~celery-task-meta-* ~_kombu.binding.$1"
  printf 'user %s on #%s resetkeys %s resetchannels &celery-task-meta-* %s' "$1" "$(hashed "password_redis_$1")" "$keys" "$commands"
}
put redis_acl "user default off
user scheduler on #$(hashed password_redis_scheduler) ~* &* +@all -@admin -@dangerous +info +keys
$(queue airlock)
$(queue train)"

for name in slack_bot_token slack_signing_secret slack_app_token; do
  [ -e "$name" ] || { : >"$name" && chmod 444 "$name"; }
done
printf 'The secrets are in %s. Keep a copy where no one who runs this machine can lose it.\n' "$(pwd)"
