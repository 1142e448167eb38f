#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Networks of the swarm on one node with the docker CLI: virtual addresses, names, published ports,
# isolation, an agent killed and started again.
#
#   client 10.77.0.2 --- switch --- n1 10.77.0.11, a swarm of one
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }
# (A resolver that refuses at once: names that are not ours are unknown without a wait.)
ip=$(node_ip n1)
check "a swarm of one" swarm_form 1 0 --dns 127.0.0.1
check "images" swarm_images n1

fetch() { in_ns "$1" curl -sf -m 5 "http://$2/cgi-bin/id"; }
container() { docker ps -q --filter "label=com.docker.swarm.service.name=$1" | head -1; }
from() { docker exec "$1" timeout 5 wget -q -O - "http://$2/cgi-bin/id"; }
# The addresses of a name, sorted. usage: resolve CONTAINER NAME
resolve() { docker exec "$1" nslookup "$2" 127.0.0.11 2> /dev/null | sed -n '/^Name/,$s/^Address: //p' | sort | xargs; }
vip() { docker service inspect -f '{{range .Endpoint.VirtualIPs}}{{println .NetworkID .Addr}}{{end}}' "$1" | grep "^$(docker network inspect -f '{{.Id}}' "$2")" | sed 's/.* //; s,/.*,,'; }
address() { docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }
service() { docker service create -d --no-resolve-image --name "$@" > /dev/null; }
shows_client() { local out; out=$(fetch "$1" "$2") && [[ $out == *10.77.0.2* ]]; }

check "an attachable network" docker network create -d overlay --attachable ov
check "one with a subnet" docker network create -d overlay --subnet 10.200.0.0/24 one
check "another with the same" docker network create -d overlay --subnet 10.200.0.0/24 two
check "an internal one" docker network create -d overlay --internal inside
service web --network name=ov,alias=www --replicas 3 -p 8080:80 web
service rr --network ov --endpoint-mode dnsrr --replicas 2 web
service cl --network ov alpine sleep 100000
service a --network one web
service b --network two web
service in --network inside web
service udp --network ov -p 5300:53/udp alpine sleep 100000
service host --publish mode=host,published=8088,target=80 web
for s in web:3 rr:2 cl:1 a:1 b:1 in:1 udp:1 host:1; do
	check "the tasks of ${s%:*} run" wait_for 60 tasks_run n1 "${s%:*}" "${s#*:}"
done
cl=$(container cl) a=$(container a) b=$(container b)
# Three different hosts answer. usage: balanced FETCH…
balanced() { [ "$(for _ in $(seq 40); do "$@"; done | awk '{print $1}' | sort -u | wc -l)" = 3 ]; }

check "a service's name is its virtual address" equals "$(vip web ov)" resolve "$cl" web
check "so is its alias" equals "$(vip web ov)" resolve "$cl" www
check "and the name with the network's" equals "$(vip web ov)" resolve "$cl" web.ov
check "tasks.web are three" eval '[ "$(resolve "$cl" tasks.web | wc -w)" = 3 ]'
check "dnsrr: the tasks themselves" eval '[ "$(resolve "$cl" rr)" = "$(resolve "$cl" tasks.rr)" ] && [ "$(resolve "$cl" rr | wc -w)" = 2 ]'
check "a name of another network is not known" equals "" resolve "$a" web
check "the virtual address answers" soon from "$cl" web
check "and is balanced" balanced from "$cl" web
check "the task sees the client's address" says "$(address "$cl" ov)" from "$cl" web
check "a task reaches its own service" soon from "$(container web)" web

check "a published port from outside, with the client's address" soon shows_client client "$ip:8080"
check "balanced" balanced fetch client "$ip:8080"
check "from the node" says "" fetch n1 "$ip:8080"
check "from the node by localhost" says "" fetch n1 127.0.0.1:8080
check "from a task" from "$cl" "$ip:8080"
check "in host mode" soon shows_client client "$ip:8088"
in_ns n1 nsenter --net="$(docker inspect -f '{{.NetworkSettings.SandboxKey}}' "$(container udp)")" \
	socat UDP-LISTEN:53,fork EXEC:"echo pong" > /dev/null 2>&1 &
udp() { echo ping | in_ns "$1" socat -t 2 - "UDP:$2:5300"; }
check "a published UDP port" soon says pong udp client "$ip"
check "from the node, too" soon says pong udp n1 127.0.0.1

check "networks of the same subnet are apart" not docker exec "$a" timeout 3 wget -q -O - "http://$(address "$b" two)/"
check "their names, too" equals "" resolve "$a" b
has_default() { docker exec "$1" ip route | grep -q ^default; }
# Where the kernel cannot encrypt, its tasks do not run.
check "an encrypted network" docker network create -d overlay --opt encrypted secret
service secret --network secret --restart-condition none alpine sleep 100000
if in_ns n1 ip xfrm state add src 127.0.0.1 dst 127.0.0.2 proto esp spi 0x200 mode transport \
	aead 'rfc4106(gcm(aes))' 0x0001020304050607080910111213141516171819 64 2> /dev/null; then
	in_ns n1 ip xfrm state del src 127.0.0.1 dst 127.0.0.2 proto esp spi 0x200
	check "its task runs" wait_for 60 tasks_run n1 secret 1
	check "with an MTU that leaves room" equals 1424 docker exec "$(container secret)" cat /sys/class/net/eth0/mtu
else
	check "its task does not run in the clear, and says why" wait_for 60 says CONFIG_INET_ESP docker service ps --no-trunc secret
	check "it never ran" equals "" container secret
fi

check "an internal network has no way out" not has_default "$(container in)"
check "the others have" has_default "$a"

check "a container attaches" docker run -d --name lone --network ov alpine sleep 100000
check "it finds services" soon from lone web
check "services find it" soon equals "$(address lone ov)" resolve "$cl" lone
check "it leaves" docker rm -f lone
check "and is forgotten" soon equals "" resolve "$cl" lone

netns=$(docker inspect -f '{{.NetworkSettings.SandboxKey}}' "$cl") vip=$(vip web ov)
in_task() { in_ns n1 nsenter --net="$netns" curl -sf -m 5 "http://$1/cgi-bin/id"; }
agent_stop n1 KILL
check "without an agent: published ports" shows_client client "$ip:8080"
check "without an agent: virtual addresses" in_task "$vip"
agent_start n1 --dns 127.0.0.1
check "after kill -9: published ports" shows_client client "$ip:8080"
check "after kill -9: names" soon equals "$(vip web ov)" resolve "$cl" web
check "after kill -9: virtual addresses" from "$cl" web
check "all tasks are known" wait_for 30 tasks_run n1 web 3
check "scaling works" docker service scale -d web=1
check "one is left" wait_for 60 tasks_run n1 web 1
check "tasks.web is it" soon eval '[ "$(resolve "$cl" tasks.web | wc -w)" = 1 ]'
check "and it answers" fetch client "$ip:8080"

docker service rm web rr cl a b in udp host secret > /dev/null
check "the tasks go" wait_for 60 no_containers n1
check "a removed service's port is closed" not fetch client "$ip:8080"
check "networks can be removed" docker network rm ov one two inside secret
check "leave" docker swarm leave --force
check "no overlay network is left" equals "" docker network ls -q --filter driver=overlay
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
