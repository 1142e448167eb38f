#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bridge networks with the docker CLI: names, published ports from everywhere, isolation, live
# changes, an agent killed and started again.
#
#   client 10.77.0.2 --- switch --- n1 10.77.0.11: web, peer, other, lone
. "$(dirname "$0")/../lib.sh"
agent_start n1 --dns 127.0.0.1
base_image n1
docker() { d n1 "$@"; }
ip=$(node_ip n1)

. selftests/net/lib_web.sh
fetch() { in_ns "$1" curl -sf -m 3 "http://$2/cgi-bin/id"; }
# The client's own address arrives (the server may show it as ::ffff:…).
seen_from() { # ADDRESS COMMAND…
	local addr=$1 out
	shift
	out=$("$@") && [[ $out == *" saw "*"$addr"* ]]
}
resolves() { # CONTAINER NAME WANT
	docker exec "$1" nslookup "$2" 127.0.0.11 2>&1 | grep -q "Address.*: $3\$"
}
ip_of() { docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }
# Until it holds, as a server may still be starting. usage: soon COMMAND…

check "predefined networks" equals "bridge host none" eval 'docker network ls --format "{{.Name}}" | sort | xargs'
check "create" docker network create --label tier=front --subnet 10.44.0.0/24 --gateway 10.44.0.1 front
check "a second one" docker network create back
check "the same name again is refused" refuses "network with name back already exists" docker network create back
check "an overlapping subnet is refused" refuses "overlaps" docker network create --subnet 10.44.0.128/25 x
check "an unaligned subnet is refused" refuses "it should be 10.45.0.0/24" docker network create --subnet 10.45.0.1/24 x
check "filter by label" equals front docker network ls --filter label=tier=front --format '{{.Name}}'
check "inspect" equals "10.44.0.0/24 10.44.0.1 bridge" \
	docker network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}} {{.Driver}}' front
check "predefined ones stay" refuses "pre-defined" docker network rm bridge

check "run with published ports" web web --network front --network-alias www --ip 10.44.0.80 -p 8080:80 -p 127.0.0.1:8081:80
check "and a neighbour" web peer --network front
check "and one elsewhere" web other --network back
check "and one by default" web lone
check "the address asked for" equals 10.44.0.80 ip_of web front
check "an address twice is refused" refuses "Address already in use" docker run --rm --network front --ip 10.44.0.80 alpine true
check "by name" soon seen_from "$(ip_of peer front)" from peer web
check "by alias" says "web saw" from peer www
check "by name and network" says "web saw" from peer web.front
check "by short ID" says "web saw" from peer "$(docker inspect -f '{{slice .Id 0 12}}' web)"
check "backwards" says "web.front" docker exec peer nslookup 10.44.0.80 127.0.0.11
check "a name of another network is not known" not from other web
check "the node's hosts file is not the container's" says "10.44.0.80	web" docker exec web cat /etc/hosts

check "a published port from outside" seen_from 10.77.0.2 fetch client "$ip:8080"
check "from the node by its address" says "web saw" fetch n1 "$ip:8080"
check "from the node by localhost" says "web saw" fetch n1 127.0.0.1:8080
check "from a neighbour" says "web saw" from peer "$ip:8080"
check "from itself" says "web saw" from web "$ip:8080"
check "from another network" says "web saw" from other "$ip:8080"
check "from the default network" says "web saw" from lone "$ip:8080"
check "a port of localhost from the node" says "web saw" fetch n1 127.0.0.1:8081
check "but not from outside" not fetch client "$ip:8081"
check "docker port" says "80/tcp -> 0.0.0.0:8080" docker port web
check "a port twice is refused" refuses "port is already allocated" docker run --rm -p 8080:80 alpine true
in_ns n1 socat TCP-LISTEN:2375 - > /dev/null 2>&1 < /dev/zero &
wait_for 5 eval '[ -n "$(in_ns n1 ss -Hltn sport = :2375)" ]'
check "a port of another program, too" refuses already docker run --rm -p 2375:80 alpine true
check "networks are apart" not from other "$(ip_of web front)"
in_ns client ip route add 10.44.0.0/24 via "$ip"
check "what is not published is not reached from outside" not fetch client "$(ip_of peer front)"
in_ns client socat TCP-LISTEN:9000,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR' > /dev/null 2>&1 &
check "the way out is masqueraded" soon says 10.77.0.11 docker exec lone sh -c 'sleep 1 | timeout 5 nc 10.77.0.2 9000'

docker run -d --name dns --network front -p 5353:53/udp alpine sleep 1000 > /dev/null
in_ns n1 nsenter --net="$(docker inspect -f '{{.NetworkSettings.SandboxKey}}' dns)" socat UDP-LISTEN:53,fork EXEC:"echo pong" > /dev/null 2>&1 &
udp() { echo ping | in_ns "$1" socat -t 2 - "UDP:$2:$3"; }
check "UDP, on the port that names are asked for at" soon says pong udp client "$ip" 5353
check "UDP by localhost" soon says pong udp n1 127.0.0.1 5353
check "names still resolve there" soon resolves dns web 10.44.0.80

docker exec web sh -c 'printf "192.0.2.7\tmine\n" >> /etc/hosts'
check "connect live" docker network connect --alias w2 back web
check "names follow" says "web saw" from other w2
check "both networks are listed" equals "back front" eval "docker inspect -f '{{range \$k, \$v := .NetworkSettings.Networks}}{{println \$k}}{{end}}' web | xargs"
check "its published port still works" soon says "web saw" fetch client "$ip:8080"
check "a network in use stays" refuses "has active endpoints" docker network rm back
hosts() { docker exec web cat /etc/hosts; }
check "its hosts file has both addresses" says "$(ip_of web back)	web" hosts
check "and what was added in the container" says "192.0.2.7	mine" hosts
gone=$(ip_of web back)
check "disconnect live" docker network disconnect back web
check "the hosts file is without it" eval '! hosts | grep -q "$gone" && hosts | grep -q mine && hosts | grep -q "10.44.0.80	web"'
check "it is gone from there" not from other web
check "and still where it was" says "web saw" from peer web
check "again is refused" refuses "is not connected" docker network disconnect back web

check "an internal network" docker network create --internal inside
check "run there" web in --network inside
check "no way out" not docker exec in timeout 2 wget -q -O - "http://$ip:8080/"
check "without icc" docker network create -o com.docker.network.bridge.enable_icc=false alone
web m1 --network alone > /dev/null && web m2 --network alone > /dev/null
check "neighbours do not see each other" not from m1 m2

# Links of old, on the default bridge: lines in hosts, variables, another name.
linked=(docker exec linker)
check "one to link to" docker run -d --name data-1 -h store -e A=1 -e PATH=/x --expose 5432 alpine /bin/sleep 1000
check "a link" docker run -d --name linker --link data-1:the-db -e THE_DB_ENV_A=own alpine sleep 1000
check "its line in hosts" says "$(ip_of data-1 bridge)	the-db store data-1" "${linked[@]}" cat /etc/hosts
check "its variables" equals "THE_DB_ENV_A=own
THE_DB_NAME=/linker/the-db
THE_DB_PORT=tcp://$(ip_of data-1 bridge):5432
THE_DB_PORT_5432_TCP=tcp://$(ip_of data-1 bridge):5432
THE_DB_PORT_5432_TCP_ADDR=$(ip_of data-1 bridge)
THE_DB_PORT_5432_TCP_PORT=5432
THE_DB_PORT_5432_TCP_PROTO=tcp" eval '"${linked[@]}" env | grep ^THE_DB | sort'
check "it is shown" equals '["/data-1:/linker/the-db"]' docker inspect -f '{{json .HostConfig.Links}}' linker
check "as another name" equals "data-1,linker/the-db" docker ps --no-trunc --filter name=data-1 --format '{{.Names}}'
check "that is found" equals /data-1 docker inspect -f '{{.Name}}' linker/the-db
check "nobody to link to" refuses "could not get container for nope: No such container: nope" docker run --rm --link nope alpine true
check "the node's network has no links" refuses "host type networking can't be used with links" docker run --rm --net host --link data-1 alpine true
check "nor one that is shared" refuses "container type network can't be used with links" docker run --rm --net container:data-1 --link data-1 alpine true
check "another network is not linked to" refuses "Cannot link to /web, as it does not belong to the default network" docker run --rm --link web alpine true
docker stop -t 0 data-1 > /dev/null && docker run -d --name wedge alpine sleep 1000 > /dev/null && docker start data-1 > /dev/null
check "hosts follows to another address" soon says "$(ip_of data-1 bridge)	the-db store data-1" "${linked[@]}" cat /etc/hosts
check "its own name is no link" refuses "Conflict, cannot remove the default link name" docker rm --link linker
check "no such link" refuses "No such container: linker/nope" docker rm --link linker/nope
# In a user's network a link is a name that this container alone has, whenever the other one comes.
check "links in a network" docker run -d --name caller --network front --link web:site --link later:then alpine sleep 1000
check "are shown" equals '["web:site","later:then"]' docker inspect -f '{{json .NetworkSettings.Networks.front.Links}}' caller
check "resolve" resolves caller site 10.44.0.80
check "with the network's name" resolves caller site.front 10.44.0.80
check "for nobody else" not resolves peer site 10.44.0.80
check "connect --link" docker network connect --link peer:mate front linker
check "resolves" resolves linker mate "$(ip_of peer front)"

agent_stop n1 KILL
check "without an agent the port works" seen_from 10.77.0.2 fetch client "$ip:8080"
agent_start n1 --dns 127.0.0.1
check "after kill -9: the port" seen_from 10.77.0.2 fetch client "$ip:8080"
check "the names" says "web saw" from peer www
check "the port is still taken" refuses "port is already allocated" docker run --rm -p 8080:80 alpine true
check "addresses are still taken" refuses "Address already in use" docker run --rm --network front --ip 10.44.0.80 alpine true
check "a new neighbour" web late --network front
check "finds the old ones" soon says "web saw" from late web
check "links are still there" equals /data-1 docker inspect -f '{{.Name}}' linker/the-db
check "and resolve" resolves caller site 10.44.0.80
docker run -d --name later --network front alpine sleep 1000 > /dev/null
check "to one that has come since" resolves caller then "$(ip_of later front)"
check "rm --link" docker rm --link linker/the-db
check "the name is gone" refuses "o such" docker inspect linker/the-db
check "the line, too" soon not says the-db "${linked[@]}" cat /etc/hosts
check "the variables for the next exec" not says THE_DB_PORT "${linked[@]}" env
check "live connect works" docker network connect --driver-opt a=b back late
check "its options are shown" equals 'map[a:b]' docker inspect -f '{{.NetworkSettings.Networks.back.DriverOpts}}' late
check "a flushed firewall is made whole" eval 'in_ns n1 nft flush ruleset && web more -p 8090:80 > /dev/null && soon fetch client "$ip:8090" && fetch client "$ip:8080"'
agent_stop n1
check "containers outlive a stop, too" seen_from 10.77.0.2 fetch client "$ip:8080"
agent_start n1 --dns 127.0.0.1
check "and a start" says "web saw" from peer web

docker rm -f $(docker ps -aq) > /dev/null
check "all networks can be removed" docker network rm front back inside alone
check "no bridge is left but docker0" equals docker0 eval "in_ns n1 ip -o link show type bridge | awk -F': ' '{print \$2}'"
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
