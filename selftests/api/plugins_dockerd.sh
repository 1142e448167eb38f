#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same calls about plugins to our agent and to Docker's daemon get the same answers, and a plugin
# that one has pushed is installed by the other.
#
#   n1 agent → registry on client ← n2 dockerd
. "$(dirname "$0")/../lib.sh"
. selftests/lib_dockerd.sh
command -v docker-registry > /dev/null || { echo "ok 1 # SKIP no docker-registry"; trap - EXIT; lab_down; exit 0; }

p=$LAB/keeper repo=10.77.0.2:5000/test/keeper
mkdir -p "$p/rootfs/mnt/keeper" "$p/rootfs/run/docker/plugins" "$p/rootfs/proc" "$p/rootfs/sys" "$p/rootfs/dev"
gcc -static -O1 -D_GNU_SOURCE -o "$p/rootfs/keeper" selftests/api/keeper.c
cat > "$p/config.json" << END
{"description": "keeps folders", "entrypoint": ["/keeper", "/run/docker/plugins/keeper.sock"],
 "interface": {"types": ["docker.volumedriver/1.0"], "socket": "keeper.sock"},
 "network": {"type": "host"}, "propagatedMount": "/mnt/keeper", "linux": {"capabilities": ["CAP_SYS_ADMIN"]},
 "mounts": [{"name": "state", "source": "/tmp", "destination": "/state", "type": "bind", "options": ["rbind"], "settable": ["source"]}],
 "env": [{"name": "KEEPER_FAIL", "value": "0", "settable": ["value"]}, {"name": "FIXED", "value": "1"}]}
END
registry_start client 10.77.0.2:5000
agent_start n1 --insecure-registry 10.77.0.2:5000
check "dockerd" dockerd_start n2 --insecure-registry 10.77.0.2:5000
check "the registry answers" wait_for 20 in_ns client curl -sf http://10.77.0.2:5000/v2/

# One answer, without what differs from node to node: IDs, paths and dates. usage: answer NODE METHOD PATH [BODY]
answer() {
	curl -s -o "$LAB/answer" -w '%{http_code} ' --unix-socket "$(node_sock "$1")" -X "$2" ${4:+-H "Content-Type: application/json" -d "$4"} "http://d$3"
	jq -cS 'walk(if type == "object" then with_entries(select(.key | IN("Id", "DockerVersion", "diff_ids", "Mountpoint", "CreatedAt") | not)) |
		with_entries(select(.value != null and .value != "" and .value != [])) else . end)' "$LAB/answer" 2> /dev/null || tr -d '\r\n' < "$LAB/answer"
}
# usage: same DESCRIPTION METHOD PATH [BODY]
same() {
	local what=$1
	shift
	check "$what" equals "$(answer n2 "$@")" answer n1 "$@"
}
# Events of plugins and volumes, without IDs.
told() {
	d "$1" events --since "$since" --until "$(date +%s.%N)" --filter type=plugin --filter type=volume \
		--format '{{.Type}} {{.Action}} {{json .Actor.Attributes}}' | sed -E 's/[0-9a-f]{64}/ID/g'
}
both() { d n1 "$@" > /dev/null; d n2 "$@" > /dev/null; }

since=$(date +%s.%N)
same "no plugin" GET /plugins
both plugin create keeper "$p"
same "one, as it is shown" GET /plugins/keeper/json
same "in a list" GET /plugins
same "by capability" GET '/plugins?filters={"capability":["volumedriver"]}'
same "by another" GET '/plugins?filters={"capability":["networkdriver"]}'
same "by what is no filter" GET '/plugins?filters={"x":["y"]}'
same "none" GET /plugins/none/json
same "none to enable" POST '/plugins/none/enable?timeout=0'
same "set" POST /plugins/keeper/set '["KEEPER_FAIL=1"]'
same "set a mount" POST /plugins/keeper/set '["state.source=/run"]'
same "set what is fixed" POST /plugins/keeper/set '["FIXED=2"]'
same "set another field" POST /plugins/keeper/set '["state.destination=/x"]'
same "set what is not there" POST /plugins/keeper/set '["none=1"]'
same "set nothing" POST /plugins/keeper/set '["=1"]'
# dockerd changes the author's words with the setting: ours stay
both plugin set keeper state.source=/tmp
same "as it is set" GET /plugins/keeper/json
both plugin set keeper KEEPER_FAIL=0
same "disable what is disabled" POST /plugins/keeper/disable
same "a volume of it" POST /volumes/create '{"Name":"v1","Driver":"keeper"}'
same "enable" POST '/plugins/keeper/enable?timeout=0'
same "enable again" POST '/plugins/keeper/enable?timeout=0'
same "set while enabled" POST /plugins/keeper/set '["KEEPER_FAIL=0"]'
same "remove while enabled" DELETE /plugins/keeper
same "a volume" POST /volumes/create '{"Name":"v1","Driver":"keeper","Labels":{"a":"b"}}'
same "the volume" GET /volumes/v1
same "volumes" GET /volumes
same "a volume that it refuses" POST /volumes/create '{"Name":"refused","Driver":"keeper"}'
same "of another driver" POST /volumes/create '{"Name":"v1","Driver":"local"}'
same "of no driver" POST /volumes/create '{"Name":"v2","Driver":"none"}'
same "no volume" GET /volumes/none
same "disable in use" POST /plugins/keeper/disable
same "remove in use" DELETE /plugins/keeper
same "remove the volume" DELETE /volumes/v1
same "upgrade while enabled" POST "/plugins/keeper/upgrade?remote=$repo:1" '[]'
same "disable" POST /plugins/keeper/disable
both plugin set keeper KEEPER_FAIL=1
check "one that ends at once, dockerd" refuses "keeper.sock" d n2 plugin enable keeper
check "here, with its exit code" refuses "exit code 3" d n1 plugin enable keeper
same "is not enabled" GET /plugins/keeper/json
same "remove" DELETE /plugins/keeper

check "events" equals "$(told n2)" told n1

# --- one registry ---
d n1 plugin create $repo:ours "$p" > /dev/null
d n2 plugin create $repo:theirs "$p" > /dev/null
check "we push" d n1 plugin push $repo:ours
check "dockerd pushes" d n2 plugin push $repo:theirs
both plugin rm $repo:ours $repo:theirs 2> /dev/null
same "what ours asks for" GET "/plugins/privileges?remote=$repo:ours"
same "what theirs asks for" GET "/plugins/privileges?remote=$repo:theirs"
check "dockerd installs ours" d n2 plugin install --grant-all-permissions --alias got $repo:ours
check "we install theirs" d n1 plugin install --grant-all-permissions --alias got $repo:theirs
check "theirs serves here" d n1 volume create -d got v1
check "ours serves there" d n2 volume create -d got v1
kill $registry
since=$(date +%s.%N)

# --- containers; dockerd tells of a creation also where the volume is there already ---
base_image n1
base_image n2
for n in n1 n2; do
	d $n run --rm --network none --volume-driver got -v v3:/d:ro alpine true
	d $n run --rm --network none --mount type=volume,source=v2,target=/d,volume-driver=got alpine true
done
calls() { d "$1" plugin inspect -f '{{.Id}}' got | { read -r id; sed -E 's/[0-9a-f]{64}/ID/' "$LAB/$1/data/plugins/$id/propagated-mount/calls"; }; }
mounts() { calls "$1" | grep -E '^(Create|Mount|Unmount|Remove) '; }
check "their events" equals "$(told n2)" told n1
check "what the driver is asked" equals "$(mounts n2)" mounts n1
for n in n1 n2; do
	d $n plugin disable -f got > /dev/null
	d $n plugin rm -f got > /dev/null
done
agent_stop n2
finish
