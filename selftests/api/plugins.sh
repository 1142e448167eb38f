#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Managed plugins by the docker CLI: a volume driver of our own (keeper.c) is created, set, enabled,
# used by containers and a service, survives the agent's death, goes to a registry and comes back.
. "$(dirname "$0")/../lib.sh"
agent_start n1
sock=$(node_sock n1)
docker_cli=$(command -v docker)
docker() { timeout 120 "$docker_cli" -H "unix://$sock" "$@"; }
base_image n1

# --- a plugin is a folder ---
p=$LAB/keeper
mkdir -p "$p/rootfs/mnt/keeper" "$p/rootfs/run/docker/plugins" "$p/rootfs/proc" "$p/rootfs/sys" "$p/rootfs/dev"
check "the driver is built" gcc -static -O1 -D_GNU_SOURCE -Wall -o "$p/rootfs/keeper" selftests/api/keeper.c
config() { # JSON to merge
	jq -n --argjson more "${1:-{\}}" '{
		description: "keeps folders", documentation: "none",
		entrypoint: ["/keeper", "/run/docker/plugins/keeper.sock"],
		interface: {types: ["docker.volumedriver/1.0"], socket: "keeper.sock"},
		network: {type: "host"}, propagatedMount: "/mnt/keeper",
		linux: {capabilities: ["CAP_SYS_ADMIN"]},
		env: [{name: "KEEPER_FAIL", description: "ends at once", value: "0", settable: ["value"]},
			{name: "FIXED", value: "1"}],
		args: {name: "args", description: "more", value: [], settable: ["value"]}
	} * $more' > "$p/config.json"
}
config
repo=127.0.0.1:5000/test/keeper
api() { curl -s --unix-socket "$sock" "$@"; }
status() { curl -s -o /dev/null -w '%{http_code}' --unix-socket "$sock" "$@"; }
since=$(date +%s)
# Those that the engine still knows. usage: events ACTION…
events() {
	local seen action
	seen=$(docker events --since "$since" --until "$(date +%s.%N)" --filter type=plugin --format '{{.Action}} {{.Actor.Attributes.name}}')
	for action in "$@"; do
		grep -qxE "$action keeper(:latest)?" <<< "$seen" || { echo "no $action in: $seen"; return 1; }
	done
}

check "no plugin" equals "[]" api http://d/plugins
check "create" says keeper docker plugin create keeper "$p"
check "its name is taken" refuses "plugin keeper:latest already exists" docker plugin create keeper "$p"
check "that is a conflict" equals 409 status -X POST -H 'Content-Type: application/x-tar' --data-binary '' "http://d/plugins/create?name=keeper"
check "a tar without rootfs" refuses "no rootfs found" bash -c "tar -C $p -c config.json | curl -sf --unix-socket $sock -H 'Content-Type: application/x-tar' --data-binary @- 'http://d/plugins/create?name=other' || { tar -C $p -c config.json | curl -s --unix-socket $sock -H 'Content-Type: application/x-tar' --data-binary @- 'http://d/plugins/create?name=other'; exit 1; }"
check "ls" equals "keeper:latest keeps folders false" docker plugin ls --format '{{.Name}} {{.Description}} {{.Enabled}}'
check "inspect" equals "keeper:latest false docker.volumedriver/1.0 /mnt/keeper" docker plugin inspect -f '{{.Name}} {{.Enabled}} {{index .Config.Interface.Types 0}} {{.Config.PropagatedMount}}' keeper
id=$(docker plugin inspect -f '{{.Id}}' keeper)
check "by a prefix of its ID" equals "$id" docker plugin inspect -f '{{.Id}}' "${id:0:12}"
check "one that is not there" refuses 'plugin "none" not found' docker plugin inspect none
check "that is 404" equals 404 status http://d/plugins/none/json
check "set" docker plugin set keeper KEEPER_FAIL=1
check "it is set" equals "KEEPER_FAIL=1" docker plugin inspect -f '{{index .Settings.Env 0}}' keeper
check "set what is not settable" refuses '"FIXED" is not settable' docker plugin set keeper FIXED=2
check "set what is not there" refuses 'setting "x" not found in the plugin configuration' docker plugin set keeper x=2
check "disabled, it is no driver" refuses "found but disabled" docker volume create -d keeper v1
check "enabled, it ends at once" refuses "ended with exit code 3 before it listened" docker plugin enable keeper
check "it is not enabled" equals false docker plugin inspect -f '{{.Enabled}}' keeper
docker plugin set keeper KEEPER_FAIL=0 > /dev/null
check "enable" docker plugin enable keeper
check "enable again" refuses "plugin already enabled: plugin keeper:latest is enabled" docker plugin enable keeper
check "set while enabled" refuses "cannot set on an active plugin, disable plugin before setting" docker plugin set keeper KEEPER_FAIL=0
check "rm while enabled" refuses "plugin keeper:latest is enabled" docker plugin rm keeper
check "ls by capability" equals keeper:latest docker plugin ls --filter capability=volumedriver --format '{{.Name}}'
check "ls by another" equals "" docker plugin ls --filter capability=networkdriver --format '{{.Name}}'
check "ls of the disabled" equals "" docker plugin ls --filter enabled=false --format '{{.Name}}'
check "info" equals "[local keeper:latest]" docker info -f '{{.Plugins.Volume}}'
check "events" events create enable

# --- volumes of it ---
calls() { cat "$LAB/n1/data/plugins/$id/propagated-mount/calls"; }
count() { calls | grep -c "^$1 "; }
check "volume create" equals v1 docker volume create -d keeper --label a=b v1
check "volume inspect" equals "keeper:latest global yes b" docker volume inspect -f '{{.Driver}} {{.Scope}} {{.Status.kept}} {{.Labels.a}}' v1
check "volume ls" equals "keeper:latest v1" docker volume ls --format '{{.Driver}} {{.Name}}'
check "a driver that is not there" refuses 'error looking up volume plugin none: plugin "none" not found' docker volume create -d none x
check "another driver's name" refuses "driver 'keeper:latest' already has volume 'v1'" docker volume create -d local v1
check "the driver's own words" refuses "no room for refused" docker volume create -d keeper refused
check "with options" refuses "no room for v2" docker volume create -d keeper -o size=huge v2
check "a container writes" docker run --rm --network none -v v1:/d alpine sh -c 'echo kept > /d/file'
check "another reads" equals kept docker run --rm --network none -v v1:/d alpine cat /d/file
check "mounted twice" equals 2 count Mount
check "unmounted twice" equals 2 count Unmount
check "with one ID each" equals 2 bash -c "sed -n 's/^Mount v1 //p' $LAB/n1/data/plugins/$id/propagated-mount/calls | sort | uniq -c | grep -c '^ *1 '"
check "each Mount has its Unmount" bash -c "diff <(sed -n 's/^Mount //p' $LAB/n1/data/plugins/$id/propagated-mount/calls | sort) <(sed -n 's/^Unmount //p' $LAB/n1/data/plugins/$id/propagated-mount/calls | sort)"
check "by --volume-driver, made on the way" docker run --rm --network none --volume-driver keeper -v v2:/d alpine touch /d/here
check "it is the driver's" equals keeper:latest docker volume inspect -f '{{.Driver}}' v2
check "by --mount" equals two docker run --rm --network none --mount type=volume,source=v3,target=/d,volume-driver=keeper alpine sh -c 'echo two > /d/f; cat /d/f'
check "anonymous" docker run -d --name anon --network none --volume-driver keeper -v /d alpine sleep 1000
check "of the driver, too" equals keeper:latest docker inspect -f '{{(index .Mounts 0).Driver}}' anon
check "it goes with its container" bash -c "$docker_cli -H unix://$sock rm -fv anon && ! $docker_cli -H unix://$sock volume ls -q | grep -E '^[0-9a-f]{64}$'"
check "a mount that leads out of the plugin" docker volume create -d keeper away
check "is refused" refuses "which is no absolute path without" docker run --rm --network none -v away:/d alpine ls /d
docker volume rm away > /dev/null
ln -s /etc "$LAB/n1/data/plugins/$id/propagated-mount/link"
check "a link that does" docker volume create -d keeper link
check "as well" refuses "is not in the plugin's PropagatedMount" docker run --rm --network none -v link:/d alpine ls /d
docker volume rm -f link > /dev/null
rm -f "$LAB/n1/data/plugins/$id/propagated-mount/link"
check "disable while in use" refuses "plugin keeper:latest is in use" docker plugin disable keeper
check "that is a conflict, too" equals 409 status -X POST http://d/plugins/keeper/disable

# --- the agent dies, plugin and containers live ---
docker run -d --name user --network none -v v1:/d alpine sh -c 'while [ ! -e /d/stop ]; do sleep 0.1; done' > /dev/null
mounts=$(count Mount)
plugin_pid=$(cat "$LAB/n1/exec/plugins/${id:0:32}.run/pid")
agent_stop n1 KILL
check "the plugin outlives the agent" kill -0 "$plugin_pid"
agent_start n1
check "it is taken up again" equals "$plugin_pid" cat "$LAB/n1/exec/plugins/${id:0:32}.run/pid"
check "and enabled" equals true docker plugin inspect -f '{{.Enabled}}' keeper
check "the container's mount stays" equals "$mounts" count Mount
docker run --rm --network none -v v1:/d alpine touch /d/stop
docker wait user > /dev/null
check "its end unmounts" wait_for 10 bash -c "[ \$(grep -c '^Mount ' $LAB/n1/data/plugins/$id/propagated-mount/calls) = \$(grep -c '^Unmount ' $LAB/n1/data/plugins/$id/propagated-mount/calls) ]"
docker rm user > /dev/null
kill -KILL "$plugin_pid"
other_pid() { local now; now=$(cat "$LAB/n1/exec/plugins/${id:0:32}.run/pid") && [ "$now" != "$plugin_pid" ]; }
check "a plugin that dies is started again" wait_for 10 other_pid
check "and serves" equals kept docker run --rm --network none -v v1:/d alpine cat /d/file
plugin_pid=$(cat "$LAB/n1/exec/plugins/${id:0:32}.run/pid")
agent_stop n1 KILL
kill -KILL "$plugin_pid"
agent_start n1
check "one that died without the agent, as well" wait_for 10 other_pid
check "and serves as well" equals kept docker run --rm --network none -v v1:/d alpine cat /d/file

# --- a swarm ---
docker swarm init --advertise-addr "$(node_ip n1)" > /dev/null
check "the node says so" says keeper:latest docker node inspect -f '{{json .Description.Engine.Plugins}}' self
agent_start n2
base_image n2
d n2 swarm join --token "$(docker swarm join-token -q worker)" "$(node_ip n1):2377" > /dev/null
check "a service with a volume of it" docker service create -q --detach --replicas 2 --name s --mount type=volume,source=v4,target=/d,volume-driver=keeper alpine sh -c 'echo task > /d/f; sleep 1000'
check "runs" wait_for 20 bash -c "[ \"\$(cat $LAB/n1/data/plugins/$id/propagated-mount/v4/f)\" = task ]"
nodes_of() { docker service ps --filter desired-state=running --format '{{.Node}} {{.CurrentState}}' "$1" | sed -n 's/ Running.*//p' | sort | tr '\n' ' '; }
runs_on() { [ "$(nodes_of "$1")" = "$2" ]; }
check "twice on the node that has the driver" wait_for 20 runs_on s "n1 n1 "
check "one with a driver that no node has" docker service create -q --detach --name t --mount type=volume,source=v5,target=/d,volume-driver=later alpine sleep 1000
check "waits for it" wait_for 20 bash -c "$docker_cli -H unix://$sock service ps --no-trunc --format '{{.Error}}' t | grep -q 'missing plugin on 2 nodes'"
check "until the other node has it" d n2 plugin create later "$p"
check "enabled" d n2 plugin enable later
check "and runs there" wait_for 20 runs_on t "n2 "
docker service rm s t > /dev/null
no_containers() { [ -z "$(d n1 ps -aq)$(d n2 ps -aq)" ]; }
check "their containers go" wait_for 30 no_containers
d n2 swarm leave > /dev/null
docker swarm leave --force > /dev/null
d n2 volume rm -f v5 > /dev/null
d n2 plugin rm -f later > /dev/null
agent_stop n2
check "nothing is left behind on the other node" node_leftovers n2

# --- volumes go ---
rm -f "$LAB/n1/data/plugins/$id/propagated-mount"/v*/*
for v in v1 v2 v3 v4; do check "volume rm $v" equals $v docker volume rm $v; done
check "none is left" equals "" docker volume ls -q
check "the driver removed them" equals "" bash -c "ls $LAB/n1/data/plugins/$id/propagated-mount | grep -v calls"
check "disable" docker plugin disable keeper
check "its event" events disable
check "disable again" refuses "plugin is already disabled: plugin keeper:latest found but disabled" docker plugin disable keeper

# --- other kinds ---
config '{"interface": {"types": ["docker.networkdriver/1.0"]}}'
docker plugin create nets "$p" > /dev/null
check "a network driver is refused" refuses "it serves docker.networkdriver/1.0, but only volume drivers" docker plugin enable nets
docker plugin rm nets > /dev/null
config

# --- legacy plugins ---
# from its own mount namespace: /run/docker/plugins of the node
in_ns n1 mount -t tmpfs plugins /etc/docker 2> /dev/null || in_ns n1 bash -c 'mkdir -p /etc/docker && mount -t tmpfs plugins /etc/docker'
in_ns n1 mkdir -p /etc/docker/plugins
mkdir -p "$LAB/old"
KEEPER_ROOT=$LAB/old "$p/rootfs/keeper" "$LAB/old.sock" > /dev/null 2>&1 &
old=$!
in_ns n1 bash -c "echo unix://$LAB/old.sock > /etc/docker/plugins/old.spec"
check "a legacy driver" equals w1 docker volume create -d old w1
check "in use" equals legacy docker run --rm --network none -v w1:/d alpine sh -c 'echo legacy > /d/f; cat /d/f'
check "its path is the node's" equals legacy cat "$LAB/old/w1/f"
check "info has it" equals "[local old]" docker info -f '{{.Plugins.Volume}}'
rm -f "$LAB/old/w1/f"
kill -STOP $old
docker volume inspect w1 > /dev/null 2>&1 &
waits=$!
check "a call that hangs does not hold the agent's end" agent_stop n1
kill -CONT $old
wait $waits
agent_start n1
check "its volume goes" equals w1 docker volume rm w1
kill $old
in_ns n1 umount /etc/docker

# --- a registry ---
if command -v docker-registry > /dev/null; then
	registry_start n1 127.0.0.1:5000
	check "the registry answers" wait_for 20 in_ns n1 curl -sf http://127.0.0.1:5000/v2/
	docker plugin create $repo:1 "$p" > /dev/null
	check "push" says "Upload complete" docker plugin push $repo:1
	docker plugin rm $repo:1 > /dev/null
	check "it is a plugin there" equals application/vnd.docker.plugin.v1+json bash -c "nsenter -t $(lab_pid n1) -n curl -s -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' http://127.0.0.1:5000/v2/test/keeper/manifests/1 | jq -r .config.mediaType"
	check "what it asks for" equals "network,capabilities" bash -c "curl -s --unix-socket $sock 'http://d/plugins/privileges?remote=$repo:1' | jq -r 'map(.Name) | join(\",\")'"
	check "install asks" says "is requesting the following privileges" bash -c "echo n | timeout 60 $docker_cli -H unix://$sock plugin install $repo:1"
	check "a no installs nothing" refuses "not found" docker plugin inspect $repo:1
	check "other privileges are refused" says "incorrect privileges" curl -s --unix-socket "$sock" -X POST -H 'Content-Type: application/json' -d '[]' "http://d/plugins/pull?remote=$repo:1&name=x"
	check "install under an alias" says "Installed plugin" docker plugin install --grant-all-permissions --alias kept $repo:1 args=-x
	check "it is enabled and set" equals "true [-x] $repo:1" docker plugin inspect -f '{{.Enabled}} {{.Settings.Args}} {{.PluginReference}}' kept
	check "it serves" docker volume create -d kept r1
	docker volume rm r1 > /dev/null
	check "upgrade while enabled" refuses "plugin must be disabled before upgrading" docker plugin upgrade --grant-all-permissions kept $repo:2
	docker plugin disable kept > /dev/null
	config '{"description": "keeps more", "linux": {"capabilities": []}}'
	docker plugin create $repo:2 "$p" > /dev/null
	docker plugin push $repo:2 > /dev/null
	check "upgrade" says "Upgraded plugin" docker plugin upgrade --skip-remote-check --grant-all-permissions kept $repo:2
	check "it is the new one" equals "keeps more" docker plugin inspect -f '{{.Config.Description}}' kept
	check "which runs" docker plugin enable kept
	check "what is not there" refuses "not found" docker plugin install --grant-all-permissions $repo:3
	docker plugin rm -f kept $repo:2 > /dev/null
	kill $registry
else
	n_tests=$((n_tests + 1))
	echo "ok $n_tests - a registry # SKIP no docker-registry"
fi

# --- the end ---
docker plugin enable keeper > /dev/null
check "rm -f" equals keeper docker plugin rm -f keeper
check "more events" events enable remove
check "no blob is left" equals "" ls "$LAB/n1/data/plugins/storage/blobs/sha256"
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
