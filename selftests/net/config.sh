#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Configuration networks with the docker CLI, and what is said of macvlan and ipvlan where a container
# needs no link of theirs.
. "$(dirname "$0")/../lib.sh"
agent_start n1
base_image n1
docker() { d n1 "$@"; }
create() { docker network create "$@"; }

check "a configuration" create --config-only --subnet 10.44.0.0/24 --ip-range 10.44.0.128/25 --gateway 10.44.0.1 \
	--aux-address x=10.44.0.129 --label tier=front -o com.docker.network.bridge.enable_icc=false conf
shown='{{.Driver}} {{.Scope}} {{.ConfigOnly}} {{.ConfigFrom.Network}} {{range .IPAM.Config}}{{.Subnet}} {{.IPRange}} {{.Gateway}} {{.AuxAddress}}{{end}} {{.Options}} {{.Labels}}'
its="10.44.0.0/24 10.44.0.128/25 10.44.0.1 map[x:10.44.0.129] map[com.docker.network.bridge.enable_icc:false] map[tier:front]"
check "inspect" equals "null local true  $its" docker network inspect -f "$shown" conf
check "a second one with the same subnet" create --config-only --subnet 10.44.0.0/24 conf2
check "an unaligned subnet is refused" refuses "it should be 10.45.0.0/24" create --config-only --subnet 10.45.0.1/24 x
check "nobody can be in it" refuses "cannot create endpoint on configuration-only network" docker run --rm --network conf alpine true
docker run -d --name ctr alpine sleep 1000 > /dev/null
check "nor be connected to it" refuses "cannot create endpoint on configuration-only network" docker network connect conf ctr
for flag in --internal --attachable --ingress --scope=local; do
	check "not with $flag" refuses "configuration network can only contain network specific fields" create --config-only $flag x
done
check "a network of it" create --config-from conf net
check "has all of it" equals "bridge local false conf $its" docker network inspect -f "$shown" net
check "and its addresses" equals 10.44.0.128 docker run --rm --network net alpine sh -c 'ip -o -4 addr show eth0 | sed "s/.*inet //; s/\/.*//"'
check "no such configuration" refuses 'configuration network "nope" does not exist' create --config-from nope x
check "another network is none" refuses 'configuration network "net" does not exist' create --config-from net x
check "not of one another" refuses "cannot depend on another configuration network" create --config-only --config-from conf x
check "not with a subnet" refuses "user-specified configurations are not supported" create --config-from conf2 --subnet 10.46.0.0/24 x
check "not with a label" refuses "user-specified configurations are not supported" create --config-from conf2 --label a=b x
check "not with an option" refuses "network driver options are not supported" create --config-from conf2 -o a=b x
check "a subnet twice is still refused" refuses overlaps create --config-from conf2 x
check "one in use stays" refuses 'configuration network "conf" is in use' docker network rm conf
agent_stop n1 KILL
agent_start n1
check "after kill -9" equals "null local true  $its" docker network inspect -f "$shown" conf
check "what is made of it" equals "bridge local false conf $its" docker network inspect -f "$shown" net
check "it is still in use" refuses 'configuration network "conf" is in use' docker network rm conf
check "a prune takes networks, not configurations" eval 'docker network prune -f && equals "conf conf2" eval "docker network ls -q --filter type=custom --format \"{{.Name}}\" | sort | xargs"'
check "remove" docker network rm conf conf2

check "docker info" equals "[bridge host ipvlan macvlan null overlay]" docker info -f '{{.Plugins.Network}}'
check "macvlan" create -d macvlan --subnet 10.77.0.0/24 -o parent=eth0 mv
check "shares its parent" create -d macvlan --subnet 10.78.0.0/24 -o parent=eth0 mv2
check "has no gateway that nobody named" equals "" docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' mv
check "ipvlan" create -d ipvlan --subnet 10.79.0.0/24 -o parent=eth0 iv
check "does not" refuses "is already using parent interface eth0" create -d ipvlan --subnet 10.80.0.0/24 -o parent=eth0 iv2
check "of a configuration" eval 'create --config-only --subnet 10.81.0.0/24 -o parent=eth0 -o macvlan_mode=vepa conf && create -d macvlan --config-from conf mv3'
check "its mode" equals "map[macvlan_mode:vepa parent:eth0]" docker network inspect -f '{{.Options}}' mv3
check "a mode is the driver's" refuses "requested macvlan mode 'l3' is not valid" create -d macvlan -o parent=eth0 -o macvlan_mode=l3 x
check "loopback is no parent" refuses "loopback interface is not a valid ipvlan parent link" create -d ipvlan -o parent=lo x
check "a parent that is not there" refuses "invalid subinterface vlan name eth9" create -d macvlan -o parent=eth9 x
# Where the kernel has the links, selftests/vm/macvlan.sh shows what they do.
if in_ns n1 ip link add probe link eth0 type macvlan 2> /dev/null; then
	in_ns n1 ip link del probe
	check "a container" docker run --rm --network mv alpine true
else
	check "a kernel without macvlan is named" refuses "it needs CONFIG_MACVLAN, as module: modprobe macvlan" docker run --rm --network mv alpine true
fi
check "remove" docker network rm mv mv2 mv3 iv conf
docker rm -f ctr > /dev/null
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
