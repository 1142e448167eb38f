#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Containers on the node's own networks, in a virtual machine: macvlan, VLANs, ipvlan, with the
# docker CLI, an agent that is killed and a node that starts again.
#
#   client 10.77.0.2 --- switch 10.77.0.1 --- n1 eth0 10.77.0.11: containers 10.77.0.128/28
#     eth0.50 10.50.0.2  - - - - - - - - - - - - - eth0.50: containers 10.50.0.0/24
. "$(dirname "$0")/../lib.sh"
check "the agent" agent_start n1 --dns 127.0.0.1
base_image n1
docker() { d n1 "$@"; }
# A web server that names itself. usage: web NAME ARG…
web() {
	local name=$1
	shift
	docker run -d --name "$name" --hostname "$name" "$@" alpine sh -c \
		'mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www'
}
from() { docker exec "$1" timeout $((3 * SLOW)) wget -q -O - "http://$2/"; } # CONTAINER HOST
fetch() { in_ns "$1" curl -sf -m $((3 * SLOW)) "http://$2/"; } # NODE HOST
pings() { in_ns client ping -c 1 -W "$SLOW" "$1"; }
ip_of() { docker inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }
routes() { docker exec "$1" ip route; }
links() { in_ns n1 ip -o link | awk -F': ' '{sub("@.*", "", $2); print $2}'; }
has_link() { links | grep -qx "$1"; }
create() { docker network create "$@"; }
macvlan="create -d macvlan" ipvlan="create -d ipvlan"

check "docker info" equals "[bridge host ipvlan macvlan null overlay]" docker info -f '{{.Plugins.Network}}'
check "no loopback" refuses "loopback interface is not a valid macvlan parent link" $macvlan -o parent=lo x
check "no such mode" refuses "requested macvlan mode 'source' is not valid" $macvlan -o parent=eth0 -o macvlan_mode=source x
check "no such parent" refuses "invalid subinterface vlan name eth7, example formatting is eth0.10" $macvlan -o parent=eth7 x
check "no such parent of a VLAN" refuses "-o parent interface was not found on the host: eth7" $macvlan -o parent=eth7.5 x
check "no such VLAN" refuses "vlan id must be between 1-4094, received: 4095" $macvlan -o parent=eth0.4095 x
check "nothing is left of them" equals "bridge host none" eval 'docker network ls --format "{{.Name}}" | sort | xargs'

check "macvlan" $macvlan --subnet 10.77.0.0/24 --gateway 10.77.0.1 --ip-range 10.77.0.128/28 --aux-address printer=10.77.0.129 -o parent=eth0 lan
check "inspect" equals "macvlan 10.77.0.1 10.77.0.128/28 map[printer:10.77.0.129] map[parent:eth0]" \
	docker network inspect -f '{{.Driver}} {{range .IPAM.Config}}{{.Gateway}} {{.IPRange}} {{.AuxAddress}}{{end}} {{.Options}}' lan
check "a container" web ann --network lan -p 80:80
check "has the first address of the range" equals 10.77.0.128 ip_of ann lan
check "another, with an address of its own and the same port" web ben --network lan --ip 10.77.0.140 --mac-address 02:00:00:00:00:07 -p 80:80
check "has both" equals "10.77.0.140 02:00:00:00:00:07 10.77.0.1" \
	docker inspect -f '{{with .NetworkSettings.Networks.lan}}{{.IPAddress}} {{.MacAddress}} {{.Gateway}}{{end}}' ben
check "in the kernel, too" says 02:00:00:00:00:07 docker exec ben ip link show eth0
check "a third" web cat --network lan
check "leaves out what is reserved" equals 10.77.0.130 ip_of cat lan
check "reached from outside" soon equals ann fetch client 10.77.0.128
check "by its own hardware address" says 02:00:00:00:00:07 eval 'pings 10.77.0.140; in_ns client ip neigh show 10.77.0.140'
check "from a neighbour by name" equals ben from ann ben
check "the default route is the network's gateway" says "default via 10.77.0.1 dev eth0" routes ann
check "no port is published" equals "map[]" docker inspect -f '{{.NetworkSettings.Ports}}' ann
check "on the node neither" not fetch n1 127.0.0.1
check "a network in use stays" refuses "has active endpoints" docker network rm lan
check "no second one passes the parent through" refuses "cannot use mode passthru, macvlan network" $macvlan --subnet 10.78.0.0/24 -o parent=eth0 -o macvlan_mode=passthru x
check "ipvlan cannot share the parent" eval '$ipvlan --subnet 10.79.0.0/24 -o parent=eth0 iv >&2 && refuses "either macvlan or ipvlan" docker run --rm --network iv alpine true'
check "and goes" docker network rm iv

check "a bridge network" create --subnet 10.60.0.0/24 br
check "connect live" docker network connect br ann
check "the default route follows the names" says "default via 10.60.0.1" routes ann
check "still reached from outside" equals ann fetch client 10.77.0.128
check "disconnect live" docker network disconnect br ann
check "the route is back" says "default via 10.77.0.1" routes ann
check "leave macvlan live" docker network disconnect lan cat
check "the link is gone" not docker exec cat ip link show eth0
check "come back" docker network connect --ip 10.77.0.141 lan cat
check "reached again" soon equals cat fetch client 10.77.0.141

agent_stop n1 KILL
check "without an agent" equals ann fetch client 10.77.0.128
agent_start n1 --dns 127.0.0.1
check "after kill -9" equals ben fetch client 10.77.0.140
check "names are known again" soon equals ben from ann ben
check "addresses are still taken" refuses "Address already in use" docker run --rm --network lan --ip 10.77.0.140 alpine true
check "restart" docker restart -t 0 ben
check "with the same address" soon equals ben fetch client 10.77.0.140
docker rm -f ann ben cat > /dev/null
check "remove" docker network rm lan
check "the node's own link stays" has_link eth0

check "a network without a gateway" $macvlan --subnet 10.77.0.0/24 -o parent=eth0 -o macvlan_mode=private lan
web ann --network lan --ip 10.77.0.128 > /dev/null && web ben --network lan --ip 10.77.0.129 > /dev/null
check "has no default route" not says default routes ann
check "is reached" soon equals ann fetch client 10.77.0.128
check "private: not from a neighbour" not from ann 10.77.0.129
docker rm -f ann ben > /dev/null && docker network rm lan > /dev/null

in_ns client ip link add link eth0 name eth0.50 type vlan id 50
in_ns client ip addr add 10.50.0.2/24 dev eth0.50
in_ns client ip link set eth0.50 up
check "a VLAN" $macvlan --subnet 10.50.0.0/24 --gateway 10.50.0.2 -o parent=eth0.50 vlan
check "its link is made" says "vlan protocol 802.1Q id 50" in_ns n1 ip -d link show eth0.50
check "a second network on it" $macvlan --subnet 10.51.0.0/24 -o parent=eth0.50 vlan2
web ann --network vlan --ip 10.50.0.7 > /dev/null
check "a container in it" soon equals ann fetch client 10.50.0.7
docker stop -t 0 ann > /dev/null
agent_stop n1
in_ns n1 ip link del eth0.50 2> /dev/null
check "the node starts again without the link" agent_start n1 --dns 127.0.0.1
check "it is made again" has_link eth0.50
docker start ann > /dev/null
check "the container starts" soon equals ann fetch client 10.50.0.7
docker rm -f ann > /dev/null
check "the first network goes" docker network rm vlan
check "the link is another's still" has_link eth0.50
check "and goes with it" eval 'docker network rm vlan2 && ! has_link eth0.50'
in_ns n1 ip link add link eth0 name eth0.60 type vlan id 60
check "a link that was there" $macvlan --subnet 10.50.0.0/24 -o parent=eth0.60 vlan
check "stays" eval 'docker network rm vlan && has_link eth0.60'

check "without a parent" $macvlan --subnet 10.52.0.0/24 --gateway 10.52.0.1 alone
dummy=dm-$(docker network inspect -f '{{slice .Id 0 12}}' alone)
check "there is a dummy" has_link "$dummy"
web ann --network alone > /dev/null && web ben --network alone > /dev/null
check "containers see each other" soon equals ben from ann ben
check "and nobody else" not says default routes ann
docker rm -f ann ben > /dev/null
check "the dummy goes" eval 'docker network rm alone && ! has_link "$dummy"'

check "ipvlan: no such mode" refuses "requested ipvlan mode 'l4' is not valid" $ipvlan -o parent=eth0 -o ipvlan_mode=l4 x
check "no such flag" refuses "requested ipvlan flag 'x' is not valid" $ipvlan -o parent=eth0 -o ipvlan_flag=x x
check "ipvlan l2" $ipvlan --subnet 10.77.0.0/24 --gateway 10.77.0.1 --ip-range 10.77.0.128/28 -o parent=eth0 lan
check "a parent is one network's" refuses "is already using parent interface eth0" $ipvlan --subnet 10.53.0.0/24 -o parent=eth0 x
check "no hardware address of one's own" refuses "do not support custom mac address" docker run --rm --network lan --mac-address 02:00:00:00:00:07 alpine true
web ann --network lan > /dev/null && web ben --network lan > /dev/null
check "reached" soon equals ann fetch client 10.77.0.128
check "from a neighbour" soon equals ben from ann ben
check "by the gateway" says "default via 10.77.0.1" routes ann
check "inspect has no hardware address" equals "10.77.0.128 ''" docker inspect -f "{{with .NetworkSettings.Networks.lan}}{{.IPAddress}} '{{.MacAddress}}'{{end}}" ann
agent_stop n1 KILL
agent_start n1 --dns 127.0.0.1
check "after kill -9" equals ann fetch client 10.77.0.128
check "and names" soon equals ben from ann ben
docker rm -f ann ben > /dev/null && docker network rm lan > /dev/null
in_ns client ip route add 10.54.0.0/24 via 10.77.0.11
for mode in l3 l3s; do
	check "ipvlan $mode" $ipvlan --subnet 10.54.0.0/24 -o parent=eth0 -o ipvlan_mode=$mode far
	web ann --network far > /dev/null
	check "has the first address" equals 10.54.0.1 ip_of ann far
	check "routed by the node" soon equals ann fetch client 10.54.0.1
	check "by the device" says "default dev eth0" routes ann
	docker rm -f ann > /dev/null && docker network rm far > /dev/null
done
check "l2, private" $ipvlan --subnet 10.77.0.0/24 --ip-range 10.77.0.128/28 -o parent=eth0 -o ipvlan_flag=private lan
web ann --network lan > /dev/null && web ben --network lan > /dev/null
check "reached" soon equals ann fetch client 10.77.0.128
check "not from a neighbour" not from ann 10.77.0.129
docker rm -f ann ben > /dev/null
check "remove" docker network rm lan br

in_ns n1 ip link del eth0.60
check "no link is left" equals "docker0 eth0 lo" eval 'links | sort | xargs'
agent_stop n1
check "nothing is left behind" node_leftovers n1
echo "# $(cut -d' ' -f1 /proc/uptime) s since the machine's start"
finish
