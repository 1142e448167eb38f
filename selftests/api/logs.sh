#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Log drivers with the docker CLI: attributes of records, options, and syslog, fluentd, GELF and
# journald with receivers that are there, are not, and come back.
. "$(dirname "$0")/../lib.sh"
. selftests/api/lib_containers.sh
# journald's socket has one place: one of the test's own.
host_new n1 "$(node_ip n1)"
mkdir -p /run/systemd
in_ns n1 mount -t tmpfs tmpfs /run/systemd
agent_start n1
base_image n1

# -- attributes
said="--label a=1 --label ab=x=y --label c=3 -e E1=one -e E2=t,w -e F=no"
# shellcheck disable=SC2086
run $said --name attr --log-opt labels=a,none --log-opt labels-regex='^ab' --log-opt env=E1 --log-opt env-regex='^E2$' \
	--log-opt tag='{{.Name}}/{{.ID}}' alpine echo x > /dev/null
id=$(docker inspect -f '{{.Id}}' attr)
check "details" equals "E1=one,E2=t%2Cw,a=1,ab=x%3Dy,tag=attr%2F${id:0:12} x" docker logs --details attr
check "behind the time" says "Z E1=one" docker logs -t --details attr
check "not unasked" equals x docker logs attr
check "as json-file has them" equals '{"E1":"one","E2":"t,w","a":"1","ab":"x=y","tag":"attr/'"${id:0:12}"'"}' \
	jq -c .attrs "$(docker inspect -f '{{.LogPath}}' attr)"
docker rm attr > /dev/null
run --name plain alpine echo x > /dev/null
check "without attributes" equals " x" docker logs --details plain
docker rm plain > /dev/null

# -- what is refused
log() { docker create "${@/#/--log-opt=}" alpine true; }
check "an option of another driver" refuses "unknown log opt 'max-size' for syslog log driver" docker create --log-driver syslog --log-opt max-size=1m alpine
check "local has few" refuses "unknown log opt 'tag' for log driver local" docker create --log-driver local --log-opt tag=x alpine
check "no expression" refuses "error parsing regexp" log 'labels-regex=('
check "no size of a buffer" refuses "max-buffer-size" log mode=non-blocking max-buffer-size=x
check "a buffer with nothing to do" refuses "only supported with 'mode=non-blocking'" log max-buffer-size=1m
check "no such cache" refuses "invalid value for option cache-disabled: x" docker create --log-driver syslog --log-opt cache-disabled=x alpine
check "no address of syslog" refuses "syslog-address: should be in form proto://address, got x" docker create --log-driver syslog --log-opt syslog-address=x alpine
check "no facility" refuses "invalid syslog facility" docker create --log-driver syslog --log-opt syslog-address=udp://127.0.0.1 --log-opt syslog-facility=x alpine
check "no format" refuses "Invalid syslog format" docker create --log-driver syslog --log-opt syslog-address=udp://127.0.0.1 --log-opt syslog-format=x alpine
check "no address of fluentd" refuses "invalid fluentd-address" docker create --log-driver fluentd --log-opt fluentd-address=h:x alpine
check "no address of gelf" refuses "gelf-address is a required parameter" docker create --log-driver gelf alpine
check "no receiver of syslog" refuses "failed to initialize logging driver: dial tcp 127.0.0.1:5140: connect: connection refused" \
	run --name refused --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:5140 alpine true
check "none of fluentd" refuses "dial tcp 127.0.0.1:24224: connect: connection refused" run --rm --log-driver fluentd alpine true
check "nor of journald" refuses "dial unixgram /run/systemd/journal/socket: connect: " run --rm --log-driver journald alpine true
check "no such template" refuses "failed to initialize logging driver: template: log-tag: {{.Nope}}" run --rm --log-opt tag='{{.Nope}}' alpine true
check "the reason stays" says "connection refused" docker inspect -f '{{.State.Error}}' refused
docker rm refused > /dev/null
check "all are told" equals "fluentd gelf journald json-file local syslog" docker info -f '{{join .Plugins.Log " "}}'

# -- receivers
# usage: receive NAME KIND ADDRESS [CERT KEY]; what it has got is $work/NAME, its PID in $receiver
receive() {
	local name=$1
	shift
	mkfifo "$work/$name.ready"
	nsenter -t "$(lab_pid n1)" -m -n -- python3 "$PWD/selftests/api/receiver.py" "$1" "$2" "$work/$name" "${@:3}" > "$work/$name.ready" &
	receiver=$!
	disown $receiver
	read -r _ < "$work/$name.ready"
	rm "$work/$name.ready"
}
got() { grep -qE -- "$2" "$work/$1" || { cat "$work/$1"; return 1; }; }
# "out" and "err" from a container that is removed at its end. usage: sent NAME DRIVER OPTION…
sent() {
	local name=$1 driver=$2
	shift 2
	docker run --rm --network none --name "$name" --label a=1 --log-driver "$driver" --log-opt tag='{{.Name}}' "${@/#/--log-opt=}" \
		alpine sh -c 'echo out; echo err >&2' > /dev/null 2>&1
}
receive udp udp 5140
check "syslog over UDP" sent s-udp syslog syslog-address=udp://127.0.0.1:5140 syslog-facility=local3 syslog-format=rfc5424micro
check "has arrived" wait_for 30 got udp '^<158>1 20[0-9-]*T[0-9:]*\.[0-9]{6}Z [^ ]+ s-udp [0-9]+ s-udp - out$'
check "errors as errors" wait_for 30 got udp '^<155>1 .* s-udp - err$'
receive tcp tcp 5141
check "over TCP" sent s-tcp syslog syslog-address=tcp://127.0.0.1:5141 syslog-format=rfc3164
check "has arrived" wait_for 30 got tcp '^<30>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} [^ ]+ s-tcp\[[0-9]+\]: out$'
check "both" wait_for 30 got tcp ' s-tcp\[[0-9]+\]: err$'
receive local unixgram "$work/socket"
check "by a socket" sent s-unix syslog "syslog-address=unix://$work/socket"
check "has arrived" wait_for 30 got local '^<30>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} s-unix\[[0-9]+\]: out$'
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=receiver -addext subjectAltName=IP:127.0.0.1 \
	-keyout "$work/key" -out "$work/cert" 2> /dev/null
receive tls tls 5142 "$work/cert" "$work/key"
check "over TLS" sent s-tls syslog syslog-address=tcp+tls://127.0.0.1:5142 syslog-format=rfc5424 "syslog-tls-ca-cert=$work/cert"
check "has arrived, framed" wait_for 30 got tls '^[0-9]+ <30>1 .* s-tls - out$'
check "not to someone unknown" refuses "certificate verify failed" docker run --rm --network none --log-driver syslog --log-opt syslog-address=tcp+tls://127.0.0.1:5142 alpine true
receive fluentd fluentd 24224
check "fluentd" sent flu fluentd labels=a fluentd-sub-second-precision=true
check "has arrived" wait_for 30 got fluentd '^\["flu", "[0-9]+\.[0-9]{9}", \{"a": "1", "container_id": "[0-9a-f]{64}", "container_name": "/flu", "log": "out", "source": "stdout"\}\]$'
check "both streams" wait_for 30 got fluentd '"log": "err", "source": "stderr"'
receive gelf-udp gelf-udp 12201
check "gelf" sent gel gelf gelf-address=udp://127.0.0.1:12201 labels=a
check "has arrived" wait_for 30 got gelf-udp '"_a": "1", "_command": "sh -c .*"_tag": "gel".*"level": 6, "short_message": "out"'
run --rm --log-driver gelf --log-opt gelf-address=udp://127.0.0.1:12201 --log-opt gelf-compression-type=none \
	alpine sh -c 'head -c 9000 /dev/zero | tr "\0" x; echo end' > /dev/null
check "in chunks" wait_for 30 got gelf-udp '"short_message": "x{9000}end"'
receive gelf-tcp gelf-tcp 12202
check "over TCP" sent gel gelf gelf-address=tcp://127.0.0.1:12202
check "has arrived" wait_for 30 got gelf-tcp '"level": 3, "short_message": "err"'
in_ns n1 mkdir -p /run/systemd/journal
receive journald journald /run/systemd/journal/socket
check "journald" sent jou journald labels=a
check "has arrived" wait_for 30 got journald '"A": "1", "CONTAINER_ID": "[0-9a-f]{12}",.*"CONTAINER_NAME": "jou", "CONTAINER_TAG": "jou",.*"MESSAGE": "out", "PRIORITY": "6"'

# -- the log is still to be read here
run --name dual --log-driver fluentd alpine sh -c 'echo one; echo two' > /dev/null
check "docker logs" equals "one
two" docker logs dual
check "no path is shown" equals "" docker inspect -f '{{.LogPath}}' dual
run --name once --log-driver fluentd --log-opt cache-disabled=true alpine echo x > /dev/null
check "but not without a cache" refuses "does not support reading" docker logs once
check "it is sent all the same" wait_for 30 got fluentd '"container_name": "/once", "log": "x"'
docker rm dual once > /dev/null
long() { run --rm --name long --log-driver fluentd alpine sh -c 'head -c 40000 /dev/zero | tr "\0" y; echo end' > /dev/null; }
check "a long line" long
check "is in pieces" wait_for 30 got fluentd '"log": "y{7232}end", "partial_id": "[0-9a-f]{16}", "partial_last": "true", "partial_message": "true", "partial_ordinal": "3"'

# -- a receiver that is away
kill $receiver
receive steady tcp 5143
steady=$receiver
run -d --name steady --log-driver syslog --log-opt syslog-address=tcp://127.0.0.1:5143 \
	alpine sh -c 'i=0; while :; do echo "line $i."; i=$((i+1)); sleep 0.05; done' > /dev/null
check "lines come" wait_for 30 got steady 'line 3\.$'
kill -9 $steady
shown() { docker logs --tail 1 steady | awk -F'[ .]' -v n="$1" '{ exit !($2 >= n) }'; }
check "the container goes on without a receiver" wait_for 60 shown 40
receive back tcp 5143
check "what it has written comes when it is back" wait_for 120 got back 'line 40\.$'
agent_stop n1 KILL
log=$(find "$LAB/n1/data/containers" -name '*-json.log')
written() { [ "$(grep -c line "$log")" -gt "$1" ]; }
last=$(($(grep -c line "$log") + 20))
check "it goes on without the agent" wait_for 60 written $last
agent_start n1
check "what it has written comes, too" wait_for 60 got back "line $last\\.\$"
whole() { sed -n 's/.*line \([0-9]*\)\.$/\1/p' "$work/back" | sort -nu | awk -v n="$last" 'NR > 1 && $1 != was + 1 { exit 1 } { was = $1 } END { exit was < n }'; }
check "without a gap" whole
docker rm -f steady > /dev/null

# -- services
docker swarm init --advertise-addr "$(node_ip n1)" > /dev/null
receive services fluentd 24225
docker service create -d --name said --container-label a=1 --log-driver json-file --log-opt labels=a alpine sh -c 'echo said; sleep 1000' > /dev/null 2>&1
check "a service's attributes" wait_for 60 says "| a=1 said" docker service logs --details said
api() { curl -s --unix-socket "$(node_sock n1)" "$@"; }
check "and where it is from" says "a=1,com.docker.swarm.node.id=$(docker info -f '{{.Swarm.NodeID}}'),com.docker.swarm.service.id=" \
	api -o - "http://d/services/said/logs?stdout=1&details=1" --output -
docker service create -d --name sent --log-driver fluentd --log-opt fluentd-address=127.0.0.1:24225 --log-opt tag='{{.Name}}' \
	alpine sh -c 'echo by service; sleep 1000' > /dev/null 2>&1
check "a service's own driver" wait_for 60 got services '^\["sent\.1\..*"log": "by service"'
check "can be read, too" wait_for 30 says "by service" docker service logs sent
api http://d/swarm | jq '.Spec.TaskDefaults.LogDriver = {Name: "fluentd", Options: {"fluentd-address": "127.0.0.1:24225"}} | .Spec' > "$work/spec"
api -X POST -H 'Content-Type: application/json' -d "@$work/spec" "http://d/swarm/update?version=$(docker info -f '{{.Swarm.Cluster.Version.Index}}')" > /dev/null
docker service create -d --name default alpine sh -c 'echo by default; sleep 1000' > /dev/null 2>&1
check "the swarm's default" wait_for 60 got services '"log": "by default"'
docker swarm leave --force > /dev/null

# -- the daemon's defaults
agent_stop n1
started() { nsenter -t "$(lab_pid n1)" -n -m -- "$BUILD/swarm-agent" -H "unix://$LAB/other.sock" --data-root "$LAB/other" --exec-root "$LAB/other" --pidfile "$LAB/other.pid" "$@"; }
check "a default that is none" refuses "failed to set log opts: unknown log opt 'x' for syslog log driver" started --log-driver syslog --log-opt x=y
echo '{"log-driver": "syslog", "log-opts": {"syslog-address": "udp://127.0.0.1:5140", "syslog-format": "rfc5424", "tag": "by-default"}}' > "$work/daemon.json"
agent_start n1 --config-file "$work/daemon.json"
check "daemon.json has a default" equals syslog docker info -f '{{.LoggingDriver}}'
check "a container of it" run --rm alpine echo as the daemon says
check "goes by it" wait_for 30 got udp '^<30>1 .* by-default - as the daemon says$'
check "not one of another driver" equals "x" run --rm --log-driver json-file alpine echo x
finish
