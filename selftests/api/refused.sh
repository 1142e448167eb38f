#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad requests for every route: each gets dockerd's status and a sentence, the daemon goes on, and
# nothing has changed afterwards.
. "$(dirname "$0")/../lib.sh"
agent_start n1
sock=$(node_sock n1)
pid=$(cat "$LAB/n1/pid")
base_image n1

# "version=@services/web" stands for that object's version now. The allocator and the node's own
# reports raise versions in writes of their own: one that was overtaken is read again.
versioned() {
	[[ $1 =~ version=@([a-z]+(/[^&]+)?) ]] || { echo "$1"; return; }
	echo "${1/@${BASH_REMATCH[1]}/$(curl -s --unix-socket "$sock" "http://d/${BASH_REMATCH[1]}" | jq .Version.Index)}"
}

# usage: refused STATUS TEXT METHOD PATH [BODY]
refused() {
	local want=$1 text=$2 method=$3 path=$4 body=${5-} out status
	local args=(-s -g -m 20 -o "$LAB/reply" -w '%{http_code}' --unix-socket "$sock" -X "$method")
	[ "$method" = HEAD ] && args+=(-I)
	[ -z "$body" ] || args+=(-H 'Content-Type: application/json' --data-binary "$body")
	for _ in 1 2 3 4 5; do
		status=$(curl "${args[@]}" "http://d$(versioned "$path")")
		out=$(cat "$LAB/reply")
		[[ $path == *version=@* && $out == *"update out of sequence"* ]] || break
	done
	echo "$method $path $body: $status $out"
	[ "$status" = "$want" ] && [[ $out == *"$text"* ]] && { [ "$method" = HEAD ] || [[ $out == '{"message":'* ]]; }
}

# Each line: STATUS|TEXT|METHOD|PATH|BODY. One check for a table, naming the lines that fail.
table() {
	local what=$1 status text method path body bad=""
	while IFS='|' read -r status text method path body; do
		[ -n "$status" ] || continue
		refused "$status" "$text" "$method" "$path" "$body" > "$LAB/one" || bad+="want $status '$text', got $(cat "$LAB/one")"$'\n'
	done
	check "$what" equals "" printf '%s' "$bad"
}

# What must not change. Tasks and their times go on by themselves.
state() {
	d n1 images -a -q
	d n1 ps -a -q --no-trunc
	d n1 volume ls -q
	d n1 network ls -q --no-trunc
	d n1 service ls -q 2>&1
	d n1 secret ls -q 2>&1
	d n1 config ls -q 2>&1
	curl -s --unix-socket "$sock" http://d/swarm
}

state > "$LAB/before"
table "routes and methods" << 'END'
404|page not found|GET|/nothing
404|page not found|GET|/v1.41/nothing
404|page not found|POST|/containers/a/b/c/d
404|page not found|GET|/containers
405|method not allowed|POST|/containers/json
405|method not allowed|GET|/containers/create
405|method not allowed|DELETE|/services
405|method not allowed|PUT|/swarm/init
405|method not allowed|POST|/info
405|method not allowed|DELETE|/_ping
400|is too new|GET|/v1.99/info
400|is too old|GET|/v1.10/info
404|page not found|GET|/vX/info
END
table "bodies that are no JSON, no object, or missing" << 'END'
400|invalid JSON|POST|/containers/create|{
400|invalid JSON|POST|/containers/create|[]
400|invalid JSON|POST|/containers/create|"x"
400|invalid JSON|POST|/containers/create|{"Image":"alpine"}}
400|EOF|POST|/containers/create
400|invalid JSON|POST|/volumes/create|{"Name":
400|invalid JSON|POST|/networks/create|nonsense
400|invalid JSON|POST|/swarm/init|{"ListenAddr":
400|EOF|POST|/swarm/init
400|EOF|POST|/swarm/join
END
table "containers" << 'END'
404|No such container: nope|GET|/containers/nope/json
404|No such container: nope|POST|/containers/nope/start
404|No such container: nope|POST|/containers/nope/stop
404|No such container: nope|POST|/containers/nope/restart
404|No such container: nope|POST|/containers/nope/kill
404|No such container: nope|POST|/containers/nope/pause
404|No such container: nope|POST|/containers/nope/unpause
404|No such container: nope|POST|/containers/nope/wait
404|No such container: nope|POST|/containers/nope/rename?name=x
404|No such container: nope|POST|/containers/nope/resize?h=1&w=1
404|No such container: nope|POST|/containers/nope/attach
404|No such container: nope|POST|/containers/nope/update|{}
404|No such container: nope|POST|/containers/nope/exec|{"Cmd":["x"]}
404|No such container: nope|GET|/containers/nope/logs?stdout=1
404|No such container: nope|GET|/containers/nope/stats
404|No such container: nope|GET|/containers/nope/top
404|No such container: nope|GET|/containers/nope/changes
404|No such container: nope|GET|/containers/nope/export
404|No such container: nope|GET|/containers/nope/archive?path=/
404||HEAD|/containers/nope/archive?path=/
404|No such container: nope|PUT|/containers/nope/archive?path=/
404|No such container: nope|DELETE|/containers/nope
404|No such image: nothing:latest|POST|/containers/create|{"Image":"nothing"}
400|Invalid container name|POST|/containers/create?name=%2F%2F|{"Image":"alpine"}
400||POST|/containers/create|{"Image":"alpine","Env":7}
400||POST|/containers/create|{"Image":"alpine","Cmd":{}}
400||POST|/containers/create|{"Image":"alpine","HostConfig":{"Memory":"x"}}
400||POST|/containers/create|{"Image":"alpine","HostConfig":{"RestartPolicy":{"Name":"never"}}}
400||POST|/containers/create|{"Image":"alpine","HostConfig":{"Binds":["x:y:z:w"]}}
400||POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"floppy","Target":"/x"}]}}
400|invalid filter 'x'|GET|/containers/json?filters={"x":["y"]}
400|invalid filter|GET|/containers/json?filters=x
400|invalid filter 'health=x'|GET|/containers/json?filters={"health":["x"]}
400|invalid time 'x'|POST|/images/prune?filters={"until":["x"]}
400|invalid filter 'status=dancing'|GET|/containers/json?filters={"status":["dancing"]}
400|limit|GET|/containers/json?limit=many
404|No such container: nope|GET|/containers/json?filters={"before":["nope"]}
400|invalid filter 'x'|POST|/containers/prune?filters={"x":["y"]}
400||POST|/containers/prune?filters={"until":["yesterday"]}
404|No such exec instance: nope|GET|/exec/nope/json
404|No such exec instance: nope|POST|/exec/nope/start|{}
404|No such exec instance: nope|POST|/exec/nope/resize?h=1&w=1
404|No such container|POST|/commit?container=nope
END
table "what a creation asks of the node" << 'END'
400|invalid value for the field HostConfig|POST|/containers/create|{"Image":"alpine","HostConfig":"x"}
400|invalid value for the field NetworkingConfig|POST|/containers/create|{"Image":"alpine","NetworkingConfig":"x"}
400|EndpointsConfig: it must be an object of objects|POST|/containers/create|{"Image":"alpine","NetworkingConfig":{"EndpointsConfig":{"x":"y"}}}
400|Tmpfs: it must be an object of strings|POST|/containers/create|{"Image":"alpine","HostConfig":{"Tmpfs":{"/x":1}}}
400|Sysctls: it must be an object of strings|POST|/containers/create|{"Image":"alpine","HostConfig":{"Sysctls":{"x":1}}}
400|Labels: it must be an object of strings|POST|/containers/create|{"Image":"alpine","Labels":{"x":1}}
400|Mounts: it must be a list of objects|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":["x"]}}
400|PortBindings: it must be an object of lists of objects|POST|/containers/create|{"Image":"alpine","HostConfig":{"PortBindings":{"80/tcp":["x"]}}}
400|invalid value for the field Test|POST|/containers/create|{"Image":"alpine","Healthcheck":{"Test":"x"}}
400|invalid value for the field MaximumRetryCount|POST|/containers/create|{"Image":"alpine","HostConfig":{"RestartPolicy":{"MaximumRetryCount":"x"}}}
400|invalid value for the field StopTimeout|POST|/containers/create|{"Image":"alpine","StopTimeout":"x"}
400|invalid port specification|POST|/containers/create|{"Image":"alpine","HostConfig":{"PortBindings":{"x":[]}}}
400|invalid port specification|POST|/containers/create|{"Image":"alpine","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"99999"}]}}}
400|port publishing and the container type network mode|POST|/containers/create|{"Image":"alpine","HostConfig":{"NetworkMode":"container:x","PortBindings":{"80/tcp":[{}]}}}
400|hostname and the network mode|POST|/containers/create|{"Image":"alpine","Hostname":"h","HostConfig":{"NetworkMode":"container:x"}}
400|subpath must be a relative path within the volume|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"volume","Source":"v","Target":"/x","VolumeOptions":{"Subpath":"a/../../b"}}]}}
400|subpath must be a relative path within the image|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"image","Source":"alpine","Target":"/x","ImageOptions":{"Subpath":"/etc"}}]}}
400|must not set Subpath when using anonymous volumes|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"volume","Target":"/x","VolumeOptions":{"Subpath":"s"}}]}}
400|field ImageOptions must not be specified|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"volume","Target":"/x","ImageOptions":{}}]}}
400|No such image: none:latest|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"image","Source":"none","Target":"/x"}]}}
400|ReadOnlyForceRecursive is for read-only mounts|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"bind","Source":"/tmp","Target":"/x","BindOptions":{"ReadOnlyForceRecursive":true}}]}}
400|logging mode not supported|POST|/containers/create|{"Image":"alpine","HostConfig":{"LogConfig":{"Type":"json-file","Config":{"mode":"x"}}}}
400|missing required option|POST|/volumes/create|{"Name":"vx","DriverOpts":{"type":"tmpfs"}}
400|invalid IPC mode: x|POST|/containers/create|{"Image":"alpine","HostConfig":{"IpcMode":"x"}}
400|No such container: nope|POST|/containers/create|{"Image":"alpine","HostConfig":{"IpcMode":"container:nope"}}
400|No such container: nope|POST|/containers/create|{"Image":"alpine","HostConfig":{"PidMode":"container:nope"}}
400|No such container: nope|POST|/containers/create|{"Image":"alpine","HostConfig":{"VolumesFrom":["nope"]}}
400|invalid UTS mode: x|POST|/containers/create|{"Image":"alpine","HostConfig":{"UTSMode":"x"}}
400|invalid PID mode: x|POST|/containers/create|{"Image":"alpine","HostConfig":{"PidMode":"x"}}
400|conflicting options: hostname and the UTS mode|POST|/containers/create|{"Image":"alpine","Hostname":"h","HostConfig":{"UTSMode":"host"}}
400|unknown capability|POST|/containers/create|{"Image":"alpine","HostConfig":{"CapAdd":["x"]}}
400|invalid --security-opt 2|POST|/containers/create|{"Image":"alpine","HostConfig":{"SecurityOpt":["x=y"]}}
400|invalid --security-opt 1|POST|/containers/create|{"Image":"alpine","HostConfig":{"SecurityOpt":["x"]}}
400|invalid --security-opt 2|POST|/containers/create|{"Image":"alpine","HostConfig":{"SecurityOpt":["no-new-privileges=x"]}}
400|range for oom score adj|POST|/containers/create|{"Image":"alpine","HostConfig":{"OomScoreAdj":1001}}
400|CPU Quota cannot both be set|POST|/containers/create|{"Image":"alpine","HostConfig":{"NanoCpus":1000000,"CpuQuota":1000}}
400|Invalid value x for cpuset cpus|POST|/containers/create|{"Image":"alpine","HostConfig":{"CpusetCpus":"x"}}
400|Requested CPUs are not available - requested 0-4000|POST|/containers/create|{"Image":"alpine","HostConfig":{"CpusetCpus":"0-4000"}}
400|Invalid value 1-0 for cpuset mems|POST|/containers/create|{"Image":"alpine","HostConfig":{"CpusetMems":"1-0"}}
400|no such file or directory|POST|/containers/create|{"Image":"alpine","HostConfig":{"BlkioDeviceReadBps":[{"Path":"/nope","Rate":1}]}}
400|maximum retry count|POST|/containers/create|{"Image":"alpine","HostConfig":{"RestartPolicy":{"Name":"always","MaximumRetryCount":3}}}
400|cannot be negative|POST|/containers/create|{"Image":"alpine","HostConfig":{"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":-1}}}
400|invalid isolation|POST|/containers/create|{"Image":"alpine","HostConfig":{"Isolation":"hyperv"}}
400|--storage-opt is supported only for overlay over xfs|POST|/containers/create|{"Image":"alpine","HostConfig":{"StorageOpt":{"size":"1G"}}}
400|Storage opt none not supported|POST|/containers/create|{"Image":"alpine","HostConfig":{"StorageOpt":{"none":"1G"}}}
400|invalid volume specification: '/tmp:/': invalid mount config for type|POST|/containers/create|{"Image":"alpine","HostConfig":{"Binds":["/tmp:/"]}}
400|invalid volume specification: 'v:x': invalid mount config for type|POST|/containers/create|{"Image":"alpine","HostConfig":{"Binds":["v:x"]}}
400|bad format for add-host|POST|/containers/create|{"Image":"alpine","HostConfig":{"ExtraHosts":["x"]}}
400|invalid IP address in add-host|POST|/containers/create|{"Image":"alpine","HostConfig":{"ExtraHosts":["x:y"]}}
400|Interval in Healthcheck cannot be less than 1ms|POST|/containers/create|{"Image":"alpine","Healthcheck":{"Interval":1000}}
400|Retries in Healthcheck|POST|/containers/create|{"Image":"alpine","Healthcheck":{"Retries":-1}}
400|Duplicate mount point: /x|POST|/containers/create|{"Image":"alpine","HostConfig":{"Tmpfs":{"/x":""},"Binds":["/tmp:/x"]}}
400|invalid mode: ro,rw|POST|/containers/create|{"Image":"alpine","HostConfig":{"Binds":["/tmp:/x:ro,rw"]}}
400|field VolumeOptions must not be specified|POST|/containers/create|{"Image":"alpine","HostConfig":{"Binds":["/tmp:/x:nocopy"]}}
400|field BindOptions must not be specified|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/x","BindOptions":{}}]}}
400|field Source must not be specified|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/x","Source":"/tmp"}]}}
400|field Source must not be empty|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"bind","Target":"/x"}]}}
400|invalid propagation mode: x|POST|/containers/create|{"Image":"alpine","HostConfig":{"Mounts":[{"Type":"bind","Target":"/x","Source":"/tmp","BindOptions":{"Propagation":"x"}}]}}
400|invalid tmpfs option|POST|/containers/create|{"Image":"alpine","HostConfig":{"Tmpfs":{"/x":"x"}}}
END
table "images, volumes, networks, the system" << 'END'
404|No such image: nope:latest|GET|/images/nope/json
404|No such image: nope:latest|GET|/images/nope/history
404|No such image: nope:latest|DELETE|/images/nope
404|No such image: nope:latest|POST|/images/nope/tag?repo=x
400|invalid reference format|POST|/images/alpine/tag?repo=X::Y
400|invalid filter 'x'|GET|/images/json?filters={"x":["y"]}
400|limit 101 is outside|GET|/images/search?term=x&limit=101
404|no such volume|GET|/volumes/nope
404|no such volume|DELETE|/volumes/nope
400|invalid JSON|POST|/volumes/create|{"Name":7}
400|invalid JSON|POST|/volumes/create|{"Name":"v","Labels":[]}
400|invalid JSON|POST|/volumes/create|{"Name":"v","DriverOpts":{"a":1}}
400||POST|/volumes/create|{"Name":"../x"}
404|not found|POST|/volumes/create|{"Name":"v","Driver":"nope"}
400|invalid filter 'x'|GET|/volumes?filters={"x":["y"]}
400|invalid filter 'x'|POST|/volumes/prune?filters={"x":["y"]}
404|network nope not found|GET|/networks/nope
404|network nope not found|DELETE|/networks/nope
400||POST|/networks/create|{"Name":""}
400|invalid JSON|POST|/networks/create|{"Name":7}
404|plugin|POST|/networks/create|{"Name":"n","Driver":"nope"}
400|subnet|POST|/networks/create|{"Name":"n","IPAM":{"Config":[{"Subnet":"x"}]}}
403|bridge|POST|/networks/create|{"Name":"bridge"}
403|pre-defined|DELETE|/networks/bridge
404|No such container: nope|POST|/networks/bridge/connect|{"Container":"nope"}
404|No such container: nope|POST|/networks/bridge/disconnect|{"Container":"nope"}
400|Container|POST|/networks/bridge/connect|{"Container":7}
400|invalid filter|GET|/networks?filters={"x":["y"]}
400|invalid filter|GET|/networks?filters={"type":["y"]}
400|invalid filter|POST|/networks/prune?filters={"x":["y"]}
400|unknown object type|GET|/system/df?type=x
400|invalid filter 'x'|GET|/events?filters={"x":["y"]}
400||GET|/events?since=yesterday
400|username|POST|/auth|{"username":""}
400|invalid reference format|GET|/distribution/A::b/json
404|not found|GET|/plugins/nope/json
404|not found|DELETE|/plugins/nope
404|not found|POST|/plugins/nope/enable?timeout=0
404|not found|POST|/plugins/nope/disable
404|not found|POST|/plugins/nope/set|[]
404|not found|POST|/plugins/nope/push
404|not found|POST|/plugins/nope/upgrade?remote=x|[]
400|invalid JSON|POST|/plugins/nope/set|{}
400|invalid JSON|POST|/plugins/pull?remote=x|{}
400|invalid reference format|POST|/plugins/pull?remote=A::b|[]
400|invalid reference format|GET|/plugins/privileges?remote=A::b
400|invalid reference format|POST|/plugins/create?name=A::b
400|invalid filter 'x'|GET|/plugins?filters={"x":["y"]}
END
table "what needs a swarm, without one" << 'END'
503|This node is not a swarm manager|GET|/swarm
503|This node is not a swarm manager|POST|/swarm/update?version=1|{}
503|This node is not a swarm manager|GET|/swarm/unlockkey
503|This node is not part of a swarm|POST|/swarm/leave
503|This node is not a swarm manager|GET|/nodes
503|This node is not a swarm manager|GET|/nodes/x
503|This node is not a swarm manager|POST|/nodes/x/update?version=1|{}
503|This node is not a swarm manager|DELETE|/nodes/x
503|This node is not a swarm manager|GET|/services
503|This node is not a swarm manager|POST|/services/create|{}
503|This node is not a swarm manager|GET|/services/x
503|This node is not a swarm manager|POST|/services/x/update?version=1|{}
503|This node is not a swarm manager|DELETE|/services/x
503|This node is not a swarm manager|GET|/services/x/logs?stdout=1
503|This node is not a swarm manager|GET|/tasks
503|This node is not a swarm manager|GET|/tasks/x
503|This node is not a swarm manager|GET|/tasks/x/logs?stdout=1
503|This node is not a swarm manager|GET|/secrets
503|This node is not a swarm manager|POST|/secrets/create|{}
503|This node is not a swarm manager|GET|/secrets/x
503|This node is not a swarm manager|POST|/secrets/x/update?version=1|{}
503|This node is not a swarm manager|DELETE|/secrets/x
503|This node is not a swarm manager|GET|/configs
503|This node is not a swarm manager|POST|/configs/create|{}
503|This node is not a swarm manager|DELETE|/configs/x
503|This node is not a swarm manager|POST|/networks/create|{"Name":"n","Driver":"overlay"}
400|ListenAddr|POST|/swarm/init|{"ListenAddr":7}
400||POST|/swarm/init|{"ListenAddr":"0.0.0.0:99999"}
400|DataPathPort 80|POST|/swarm/init|{"DataPathPort":80}
400||POST|/swarm/init|{"Availability":"maybe"}
400||POST|/swarm/init|{"DefaultAddrPool":["x"]}
400||POST|/swarm/init|{"SubnetSize":"x"}
400|Spec.Raft|POST|/swarm/init|{"Spec":{"Raft":7}}
400||POST|/swarm/join|{"RemoteAddrs":[],"JoinToken":"x"}
400|invalid join token|POST|/swarm/join|{"RemoteAddrs":["127.0.0.1:1"],"JoinToken":"x"}
END
check "nothing has changed" equals "" diff "$LAB/before" <(state)

ip=$(node_ip n1)
check "a swarm of one" says "Swarm initialized" d n1 swarm init --advertise-addr "$ip"
check "a secret, a config, a network and a service that uses them" bash -c "
	docker() { command docker -H unix://$sock \"\$@\"; }
	echo s | docker secret create s1 - && echo c | docker config create c1 - && docker network create -d overlay o1 && docker network create here &&
	docker service create -d --no-resolve-image --name web --secret s1 --config c1 --network o1 -p 8080:80 --replicas 0 alpine sleep 1000"
node=$(d n1 node ls -q)
secret=$(d n1 secret ls -q)
spec='{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"alpine"}},"Mode":{"Replicated":{"Replicas":0}}}'
state > "$LAB/before"
table "services" << END
400|mismatched Runtime|POST|/services/create|{}
400|invalid JSON|POST|/services/create|{"Name":
400|Replicas of type uint64|POST|/services/create|{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"a"}},"Mode":{"Replicated":{"Replicas":-1}}}
400|must specify only one service mode|POST|/services/create|{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"a"}},"Mode":{"Global":{},"Replicated":{}}}
400|valid as a DNS name component|POST|/services/create|{"Name":"a b","TaskTemplate":{"ContainerSpec":{"Image":"a"}}}
400|is not a valid repository/tag|POST|/services/create|{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"A:b:c"}}}
400|constraint|POST|/services/create|{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"a"},"Placement":{"Constraints":["x"]}}}
400|already in use by service 'web'|POST|/services/create|{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"a"}},"EndpointSpec":{"Ports":[{"TargetPort":1,"PublishedPort":8080}]}}
409|already exists|POST|/services/create|{"Name":"WEB","TaskTemplate":{"ContainerSpec":{"Image":"a"}}}
404|network nope not found|POST|/services/create|{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"a"},"Networks":[{"Target":"nope"}]}}
403|cannot be used with services|POST|/services/create|{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"a"},"Networks":[{"Target":"here"}]}}
400|ingress network|POST|/services/create|{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"a"},"Networks":[{"Target":"ingress"}]}}
400|secret not found: y|POST|/services/create|{"Name":"a","TaskTemplate":{"ContainerSpec":{"Image":"a","Secrets":[{"SecretID":"x","SecretName":"y","File":{"Name":"z"}}]}}}
404|service nope not found|GET|/services/nope
404|service nope not found|DELETE|/services/nope
404|service nope not found|POST|/services/nope/update?version=1|$spec
404|service nope not found|GET|/services/nope/logs?stdout=1
400|at least one stream|GET|/services/web/logs
400|invalid swarm object version|POST|/services/web/update|$spec
400|invalid swarm object version|POST|/services/web/update?version=x|$spec
500|update out of sequence|POST|/services/web/update?version=1|$spec
400|does not have a previous spec|POST|/services/web/update?version=@services/web&rollback=previous|$spec
400|rollback|POST|/services/web/update?version=@services/web&rollback=x|$spec
400|registryAuthFrom|POST|/services/web/update?version=@services/web&registryAuthFrom=x|$spec
501|renaming services is not supported|POST|/services/web/update?version=@services/web|${spec/web/other}
501|service mode change is not allowed|POST|/services/web/update?version=@services/web|{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"alpine"}},"Mode":{"Global":{}}}
400|invalid filter 'x'|GET|/services?filters={"x":["y"]}
404|task nope not found|GET|/tasks/nope
404|node nope not found|GET|/tasks?filters={"node":["nope"]}
404|service nope not found|GET|/tasks?filters={"service":["nope"]}
400|tail value must be a positive integer|GET|/services/web/logs?stdout=1&tail=x
400|tail value must be a positive integer|GET|/services/web/logs?stdout=1&tail=-1
404|task nope not found|GET|/tasks/nope/logs?stdout=1
400|desired-state|GET|/tasks?filters={"desired-state":["x"]}
400|invalid filter 'x'|GET|/tasks?filters={"x":["y"]}
END
table "secrets, configs, networks of the swarm" << END
400|name must be provided|POST|/secrets/create|{"Data":"eA=="}
400|invalid name|POST|/secrets/create|{"Name":"/","Data":"eA=="}
400|larger than 0|POST|/secrets/create|{"Name":"x"}
400|base64|POST|/secrets/create|{"Name":"x","Data":"!"}
409|already exists|POST|/secrets/create|{"Name":"s1","Data":"eA=="}
404|secret nope not found|GET|/secrets/nope
404|secret nope not found|DELETE|/secrets/nope
400|in use by the following service: web|DELETE|/secrets/s1
500|update out of sequence|POST|/secrets/$secret/update?version=1|{"Name":"s1"}
400|invalid swarm object version|POST|/secrets/$secret/update|{"Name":"s1"}
409|already exists|POST|/configs/create|{"Name":"c1","Data":"eA=="}
400|larger than 0|POST|/configs/create|{"Name":"x"}
404|config nope not found|GET|/configs/nope
400|in use by the following service: web|DELETE|/configs/c1
400|invalid filter 'x'|GET|/secrets?filters={"x":["y"]}
400|invalid filter 'x'|GET|/configs?filters={"x":["y"]}
409|already exists|POST|/networks/create|{"Name":"o1","Driver":"overlay"}
409|already exists|POST|/networks/create|{"Name":"o1"}
400|invalid subnet|POST|/networks/create|{"Name":"o2","Driver":"overlay","IPAM":{"Config":[{"Subnet":"x"}]}}
403|cannot downgrade network scope|POST|/networks/create|{"Name":"o2","Driver":"overlay","Scope":"local"}
400|use overlay|POST|/networks/create|{"Name":"o2","Driver":"null","Scope":"swarm"}
400|cannot be attachable|POST|/networks/create|{"Name":"o2","Driver":"overlay","Ingress":true,"Attachable":true}
409|ingress network|POST|/networks/create|{"Name":"o2","Driver":"overlay","Ingress":true}
400|is in use by service|DELETE|/networks/o1
400|depends on it|DELETE|/networks/ingress
END
table "the swarm and its nodes" << END
503|already part of a swarm|POST|/swarm/init|{"ListenAddr":"0.0.0.0:2377"}
503|already part of a swarm|POST|/swarm/join|{"RemoteAddrs":["127.0.0.1:1"],"JoinToken":"SWMTKN-1-3z4xlzwqzv7xv6t8ytwrg293d16fwub5atu4qcwqooidytq9zc-7p73s1dx5in4tatdymyhg9hu2"}
500|update out of sequence|POST|/swarm/update?version=1|{"Name":"default"}
400|invalid swarm object version|POST|/swarm/update|{"Name":"default"}
400|name is not allowed|POST|/swarm/update?version=@swarm|{"Name":"x"}
400|minimum certificate expiry|POST|/swarm/update?version=@swarm|{"Name":"default","CAConfig":{"NodeCertExpiry":1}}
400|ElectionTick|POST|/swarm/update?version=@swarm|{"Name":"default","Raft":{"ElectionTick":1,"HeartbeatTick":5}}
404|node nope not found|GET|/nodes/nope
404|node nope not found|DELETE|/nodes/nope
400|Role|POST|/nodes/$node/update?version=@nodes/$node|{"Availability":"active"}
400|Availability|POST|/nodes/$node/update?version=@nodes/$node|{"Role":"manager","Availability":"x"}
400|last manager|POST|/nodes/$node/update?version=@nodes/$node|{"Role":"worker","Availability":"active"}
500|update out of sequence|POST|/nodes/$node/update?version=1|{"Role":"manager","Availability":"active"}
400|must be demoted|DELETE|/nodes/$node
400|invalid filter 'x'|GET|/nodes?filters={"x":["y"]}
400|role|GET|/nodes?filters={"role":["y"]}
END
check "nothing has changed in the swarm" equals "" diff "$LAB/before" <(state)
check "the daemon is the same and answers" bash -c "kill -0 $pid && curl -sf --unix-socket $sock http://d/_ping"
check "secrets are never shown" equals null bash -c "curl -s --unix-socket $sock http://d/secrets/s1 | jq .Spec.Data"
d n1 service rm web > /dev/null
check "leaving the last manager needs force" refuses "force" d n1 swarm leave
check "leave" says "Node left the swarm" d n1 swarm leave --force
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
