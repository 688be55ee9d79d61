#!/usr/bin/env bash
# Builds the image, brings the service and Prometheus up without a GPU, sends it real requests, reads
# its health and metrics, stops it with SIGTERM and takes everything down.
#
#   tests/end_to_end/container.sh
#
# It needs docker with Compose (2, or 1.29), curl, the virtual environment (make install, or PYTHON
# names an interpreter) and 3 GB of disk, and publishes on loopback only. Where no engine runs,
# DOCKER_ENGINE names a script that brings one up: `$DOCKER_ENGINE start` prints the line
# `export DOCKER_HOST=...`.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-$PWD/.venv/bin/python}
service=127.0.0.1:18000 prometheus=127.0.0.1:19090
examples=$PWD/examples
# The build uses the host's network: pip needs the index, and a bridge does not always reach it.
build_flags=(--network host)
work=$(mktemp --directory)

export PUBLISH=$service PUBLISH_PROMETHEUS=$prometheus
# Low limits, to reach them with small files; the service showing them proves that they arrive.
export SGONE_DEVICE=cpu SGONE_MAX_UPLOAD_BYTES=4000000 SGONE_MAX_SHOTS=3 SGONE_MAX_QUEUE=1

step() { printf '\n== %s\n' "$*"; }
ok() { printf '   ok: %s\n' "$*"; }
fail() { printf '   FAILED: %s\n' "$*" >&2; exit 1; }

compose() {
  local command=(docker-compose)
  docker compose version >/dev/null 2>&1 && command=(docker compose)
  timeout 300 "${command[@]}" --project-name sgone-end-to-end --file docker-compose.cpu.yml "$@"
}

cleanup() {
  local status=$?
  if ((status)) && [[ -n ${container:-} ]]; then docker logs --tail 30 "$container" >&2 || true; fi
  compose down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$work"
  ((status == 0)) || echo "FAILED" >&2
}
trap cleanup EXIT

start_engine() {
  local exports version
  if [[ -n ${DOCKER_ENGINE:-} ]]; then
    exports=$(timeout 900 "$DOCKER_ENGINE" start) || fail "$DOCKER_ENGINE start"
    eval "$exports"
  fi
  version=$(timeout 20 docker version --format '{{.Server.Version}}') || fail "no Docker engine answers"
  ok "engine $version, compose $(compose version --short)"
}

build_images() {
  local seconds=$SECONDS image
  timeout 1800 docker build "${build_flags[@]}" --tag sg-one-service \
    --build-arg VERSION="$("$python" -c 'import service.release as r; print(r.installed_version())')" \
    --build-arg REVISION="$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" \
    . >"$work/build.log" 2>&1 || { tail -30 "$work/build.log"; fail "docker build"; }
  ok "sg-one-service: $(docker image inspect --format '{{.Size}}' sg-one-service | numfmt --to=si)B," \
    "built in $((SECONDS - seconds)) s ($(grep -c 'Using cache\|CACHED' "$work/build.log" || true) layers cached)"
  image=$(compose config | sed -n 's/^ *image: *\(prom.*\)/\1/p')
  docker image inspect "$image" >/dev/null 2>&1 || timeout 300 docker pull --quiet "$image" 2>/dev/null ||
    timeout 600 docker build "${build_flags[@]}" --tag "$image" - <tests/end_to_end/prometheus.Dockerfile >"$work/build.log" 2>&1
  ok "$image: $(docker run --rm "$image" --version 2>&1 | head -1)"
}

wait_until() { # SECONDS WHAT COMMAND...
  local limit=$1 what=$2 start=$SECONDS
  shift 2
  until "$@"; do
    ((SECONDS - start < limit)) || fail "$what: not within $limit s"
    sleep 1
  done
  ok "$what after $((SECONDS - start)) s"
}

health_is() { [[ $(docker inspect --format '{{.State.Health.Status}}' "$container") == "$1" ]]; }

get() { curl --silent --show-error --fail --max-time 20 "http://$1"; }

# Prints "STATUS TYPE"; the body goes to $work/body, the headers to $work/headers.
post() {
  local route=$1
  shift
  curl --silent --show-error --max-time 60 --output "$work/body" --dump-header "$work/headers" \
    --write-out '%{http_code} %{content_type}' "$@" "http://$service$route"
}

expect_mask() { # OWN_MASK ROUTE CURL_ARGUMENTS...
  local own=$1 reply verdict
  shift
  reply=$(post "$@")
  [[ $reply == "200 image/png" ]] || fail "$1: $reply $(cat "$work/body")"
  verdict=$("$python" tests/end_to_end/check_mask.py "$work/body" "$own" 0.5) || fail "$1: no mask of its query"
  ok "$1: $reply, $verdict"
}

expect_problem() { # STATUS CODE ROUTE CURL_ARGUMENTS...
  local status=$1 code=$2 reply got
  shift 2
  reply=$(post "$@")
  [[ $reply == "$status application/problem+json"* ]] || fail "$code: $reply $(cat "$work/body")"
  got=$("$python" -c 'import json, sys; print(json.load(sys.stdin)["code"])' <"$work/body")
  [[ $got == "$code" ]] || fail "$got instead of $code"
  ok "$reply: $("$python" -c 'import json, sys; body = json.load(sys.stdin); print(body["code"], "-", body["detail"])' <"$work/body")"
}

make_inputs() {
  "$python" - "$examples" "$work" <<'PYTHON'
import sys
from pathlib import Path

from PIL import Image, ImageOps

examples, work = map(Path, sys.argv[1:])
for name in ("grace_hopper.jpg", "grace_hopper.mask.png"):
    with Image.open(examples / name) as image:
        ImageOps.mirror(image).save(work / f"mirrored.{name}")
Image.new("L", (512, 512)).save(work / "empty.mask.png")
Image.new("1", (9000, 9000)).save(work / "huge.png")
with Image.open(examples / "grace_hopper.jpg") as image:
    image.resize((4096, 4800)).save(work / "large.jpg", quality=60)
PYTHON
  echo "no image" >"$work/text.jpg"
  head --bytes 5000000 /dev/zero >"$work/heavy.jpg"
}

check_masks() {
  expect_mask "$examples/grace_hopper.mask.png" /segment "${one_shot[@]}" "${query[@]}"
  expect_mask "$work/mirrored.grace_hopper.mask.png" /segment/kshot "${three_shots[@]}" \
    --form query_image="@$work/mirrored.grace_hopper.jpg"
  expect_mask "$work/mirrored.grace_hopper.mask.png" /segment/kshot "${three_shots[@]}" \
    --form query_image="@$work/mirrored.grace_hopper.jpg" --form fusion=union
}

check_problems() {
  local image=(--form support_image="@$examples/astronaut.jpg") mask=(--form support_mask="@$examples/astronaut.mask.png")
  expect_problem 422 missing_part /segment "${image[@]}" "${query[@]}"
  expect_problem 422 unexpected_part /segment "${one_shot[@]}" "${query[@]}" --form colour=red
  expect_problem 422 duplicate_part /segment "${one_shot[@]}" "${query[@]}" "${query[@]}"
  expect_problem 422 undecodable_image /segment "${one_shot[@]}" --form query_image="@$work/text.jpg"
  expect_problem 422 empty_mask /segment "${image[@]}" --form support_mask="@$work/empty.mask.png" "${query[@]}"
  expect_problem 422 mask_size_mismatch /segment "${image[@]}" \
    --form support_mask="@$examples/grace_hopper.mask.png" "${query[@]}"
  expect_problem 422 support_count_mismatch /segment/kshot "${three_shots[@]}" "${image[@]}" "${query[@]}"
  expect_problem 422 too_many_shots /segment/kshot "${three_shots[@]}" "${image[@]}" "${mask[@]}" "${query[@]}"
  expect_problem 422 invalid_option /segment/kshot "${three_shots[@]}" "${query[@]}" --form fusion=median
  expect_problem 413 too_many_pixels /segment "${one_shot[@]}" --form query_image="@$work/huge.png"
  expect_problem 413 payload_too_large /segment "${one_shot[@]}" --form query_image="@$work/heavy.jpg"
  expect_problem 415 unsupported_media_type /segment --json '{}'
  expect_problem 404 not_found /nothing --request GET
  expect_problem 405 method_not_allowed /segment --request GET
}

# One request may wait (SGONE_MAX_QUEUE=1), so that of 16 at once some are refused and none fails.
check_overload() {
  local senders=() number statuses
  for number in $(seq 16); do
    curl --silent --max-time 60 --output /dev/null --write-out '%{http_code} %header{retry-after}\n' \
      "${one_shot[@]}" "${query[@]}" "http://$service/segment" >"$work/status.$number" &
    senders+=($!)
  done
  wait "${senders[@]}"
  statuses=$(sort "$work"/status.* | uniq --count | sed 's/^ *//' | paste --serial --delimiters ';')
  [[ $statuses =~ ^[0-9]+\ 200\ (\;[0-9]+\ 429\ [0-9]+)+$ ]] || fail "16 at once: $statuses"
  ok "16 at once (count, status, Retry-After): $statuses"
}

metric() { # QUERY: the value that Prometheus has for it, or nothing
  curl --silent --max-time 20 --get --data-urlencode "query=$1" "http://$prometheus/api/v1/query" |
    "$python" -c 'import json, sys; print(*(row["value"][1] for row in json.load(sys.stdin)["data"]["result"]))'
}

metric_is() { [[ $(metric "$1") == "$2" ]]; }

check_metrics() {
  local counter='sgone_requests_total{job="sg-one-service",method="POST",route="/segment/kshot",status="200"}'
  wait_until 40 "Prometheus has 2 of $counter" metric_is "$counter" 2
  ok "Prometheus: up $(metric up), mean seconds of the segment stage $(metric \
    'sum(sgone_stage_seconds_sum{stage="segment"}) / sum(sgone_stage_seconds_count{stage="segment"})')"
}

# At most 1 GB, and without torch.
check_size() {
  local bytes
  bytes=$(docker image inspect --format '{{.Size}}' sg-one-service)
  ((bytes <= 1000000000)) || fail "the image takes $bytes bytes"
  ! docker exec "$container" python -c 'import torch' 2>/dev/null || fail "torch is in the image for CPUs"
  ok "$bytes bytes, without torch"
}

check_limits() {
  local limits
  limits=$(docker inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' "$container")
  [[ $limits == "4294967296 512" ]] || fail "limits of memory and processes: $limits"
  ok "limits: $limits; in use: $(docker stats --no-stream --format '{{.MemUsage}}, {{.PIDs}} threads' "$container")"
}

check_running() {
  local ready info user
  ready=$(get $service/readyz)
  ok "readyz: $ready"
  info=$(get $service/info)
  [[ $info == *'"max_upload_bytes":4000000'* ]] || fail "a setting of the environment is not in $info"
  ok "info: $info"
  user=$(docker exec "$container" id --user)
  [[ $user != 0 ]] || fail "it runs as root"
  ! docker exec "$container" touch /app/written 2>/dev/null || fail "its file system can be written"
  ok "user $user, read-only file system, process 1: $(docker exec "$container" cat /proc/1/cmdline | tr '\0' ' ')"
}

# A stored set is in the volume: it is there after a restart, and finds its object.
check_supports() {
  local reply set_id
  reply=$(post /supports "${one_shot[@]}" --form name=astronaut)
  [[ $reply == "201 application/json" ]] || fail "/supports: $reply $(cat "$work/body")"
  set_id=$("$python" -c 'import json, sys; print(json.load(sys.stdin)["id"])' <"$work/body")
  timeout 60 docker restart --time 30 "$container" >/dev/null
  wait_until 120 "healthy again" health_is healthy
  expect_mask "$examples/grace_hopper.mask.png" "/segment?support_set=$set_id" "${query[@]}"
  reply=$(post "/segment/batch?support_set=$set_id" "${query[@]}" "${query[@]}")
  [[ $reply == "200 application/zip" ]] || fail "/segment/batch: $reply $(cat "$work/body")"
  ok "/segment/batch: $("$python" -m zipfile --list "$work/body" | tail -n +2 | wc -l) files in the ZIP"
}

# SIGTERM meets a request of about two seconds: it is still answered, then the process exits with 0.
check_stop() {
  local request log="$work/service.log"
  post /segment "${one_shot[@]}" --form query_image="@$work/large.jpg" --header 'X-Request-ID: met-by-sigterm' >"$work/last" &
  request=$!
  sleep 0.5
  timeout 60 docker stop --time 30 "$container" >/dev/null
  wait "$request" || fail "the request that SIGTERM met was cut off"
  [[ $(cat "$work/last") == "200 image/png" ]] || fail "the request that SIGTERM met: $(cat "$work/last" "$work/body")"
  docker logs "$container" >"$log" 2>&1
  sed '1,/Shutting down/d' "$log" | grep --quiet 'met-by-sigterm' || fail "SIGTERM met no request: it was answered before"
  ok "the request that SIGTERM met: 200"
  [[ $(docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$container") == "exited 0" ]] ||
    fail "$(docker inspect --format '{{json .State}}' "$container")"
  ok "exit code 0; log: $(sed -n '/Shutting down/,$s/.* uvicorn.error //p' "$log" | paste --serial --delimiters ';')"
}

one_shot=(--form support_image="@$examples/astronaut.jpg" --form support_mask="@$examples/astronaut.mask.png")
query=(--form query_image="@$examples/grace_hopper.jpg")
three_shots=()
for name in astronaut photographer grace_hopper; do
  three_shots+=(--form support_image="@$examples/$name.jpg" --form support_mask="@$examples/$name.mask.png")
done

step "engine"
start_engine
step "images"
build_images
step "up"
compose up --detach --no-build >"$work/up.log" 2>&1 || { cat "$work/up.log"; fail "compose up"; }
container=$(compose ps --quiet service)
wait_until 120 "healthy" health_is healthy
check_running
check_size
check_limits
step "masks"
make_inputs
check_masks
step "bad input"
check_problems
step "overload"
check_overload
step "metrics"
check_metrics
step "stored supports"
check_supports
step "stop"
check_stop
step "down"
compose down --volumes --timeout 5 >/dev/null 2>&1
left=$(docker ps --all --quiet --filter label=com.docker.compose.project=sgone-end-to-end)
[[ -z $left ]] || fail "containers are left: $left"
printf '\nPASSED in %d s\n' "$SECONDS"
