#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# IPv6 of bridge networks with the docker CLI: subnets given and chosen, addresses, names,
# published ports from everywhere, isolation, an agent killed and started again.
#
#   client 10.77.0.2 fd77::2 --- switch --- n1 10.77.0.11 fd77::11: web, peer, four, in
. "$(dirname "$0")/../lib.sh"
agent_start n1 --dns 127.0.0.1
base_image n1
docker() { d n1 "$@"; }
six=fd77::11
in_ns client ip addr add fd77::2/64 dev eth0 nodad
in_ns n1 ip addr add $six/64 dev eth0 nodad

. selftests/net/lib_web.sh
fetch() { in_ns "$1" curl -gsf -m 3 "http://$2/cgi-bin/id"; } # HOST URL-HOST[:PORT]
settings() { docker inspect -f "{{with index .NetworkSettings.Networks \"$2\"}}$3{{end}}" "$1"; } # CONTAINER NETWORK FORMAT
ip6_of() { settings "$1" "$2" '{{.GlobalIPv6Address}}'; }
configs() { docker network inspect -f '{{.EnableIPv6}}{{range .IPAM.Config}} {{.Subnet}} {{.Gateway}}{{end}}' "$1"; }
asks() { docker exec "$1" nslookup -type="$2" "$3" 127.0.0.11; } # CONTAINER TYPE NAME
udp() { echo ping | in_ns "$1" socat -t 2 - "UDP6:[$2]:$3"; }
published() { docker inspect -f "{{range (index .NetworkSettings.Ports \"$2\")}}{{.HostIp}} {{.HostPort}},{{end}}" "$1"; }

check "create with a subnet" docker network create --ipv6 --subnet 2001:db8:1::/64 both
check "IPv4 is chosen beside it" equals "true 172.18.0.0/16 172.18.0.1 2001:db8:1::/64 2001:db8:1::1" configs both
check "create with two, a range and a gateway" docker network create --ipv6 --subnet 10.44.0.0/24 --subnet 2001:db8:2::/64 \
	--ip-range 2001:db8:2::8000/113 --gateway 2001:db8:2::fe given
check "inspect" equals "true 10.44.0.0/24 10.44.0.1 2001:db8:2::/64 2001:db8:2::fe" configs given
check "create with one that is chosen" docker network create --ipv6 --internal inside
chosen=$(configs inside)
check "it is a unique local one" eval '[[ $chosen == "true 172.19.0.0/16 172.19.0.1 fd"*:*::/64\ fd* ]]'
check "without IPv6" docker network create plain
check "inspect" equals "false 172.20.0.0/16 172.20.0.1" configs plain
check "an overlapping subnet is refused" refuses "overlaps" docker network create --ipv6 --subnet 2001:db8:1::/56 x
check "an unaligned subnet is refused" refuses "it should be 2001:db8:9::/64" docker network create --ipv6 --subnet 2001:db8:9::1/64 x
check "a gateway elsewhere is refused" says "invalid gateway 2001:db8:8::1" curl -s --unix-socket "$(node_sock n1)" http://d/networks/create -H 'Content-Type: application/json' \
	-d '{"Name": "x", "EnableIPv6": true, "IPAM": {"Config": [{"Subnet": "2001:db8:9::/64", "Gateway": "2001:db8:8::1"}]}}'
check "two of a family are refused" refuses "multiple subnets" docker network create --ipv6 --subnet 2001:db8:8::/64 --subnet 2001:db8:9::/64 x
check "nothing is left of them" refuses "not found" docker network inspect x

check "run with published ports" web web --network both --network-alias www --ip6 2001:db8:1::80 -p 8080:80 -p [::1]:8081:80 -p "[$six]:8082:80" -p 127.0.0.1:8083:80
check "and a neighbour" web peer --network both
check "and one with IPv4 alone" web four --network plain -p 8090:80 -p [::]:8091:80 -p 8092:81
check "the address asked for" equals "2001:db8:1::80 64 2001:db8:1::1" settings web both '{{.GlobalIPv6Address}} {{.GlobalIPv6PrefixLen}} {{.IPv6Gateway}}'
check "is shown as asked for" equals 2001:db8:1::80 settings web both '{{.IPAMConfig.IPv6Address}}'
check "the next one" equals 2001:db8:1::2 ip6_of peer both
check "out of the range" equals 2001:db8:2::8000 eval 'web ranged --network given > /dev/null; ip6_of ranged given'
check "none without IPv6" equals " 0 " settings four plain '{{.GlobalIPv6Address}} {{.GlobalIPv6PrefixLen}} {{.IPv6Gateway}}'
check "the network shows it" says "2001:db8:1::80/64" docker network inspect -f '{{range .Containers}}{{.IPv6Address}} {{end}}' both
check "an address twice is refused" refuses "Address already in use" docker run --rm --network both --ip6 2001:db8:1::80 alpine true
check "one from elsewhere, too" refuses "does not belong" docker run --rm --network both --ip6 2001:db8:9::80 alpine true
check "and one without IPv6" refuses "no configured subnet" docker run --rm --network plain --ip6 2001:db8:9::80 alpine true
check "its hosts file" says "2001:db8:1::80	web" docker exec web cat /etc/hosts
check "it is usable at once" equals 0 eval 'docker run --rm --network both alpine ip -6 addr show dev eth0 | grep -c tentative'
check "the default route" says "default via 2001:db8:1::1 dev eth0" docker exec web ip -6 route
check "no IPv6 where there is none" equals "" docker exec four ip -6 addr show dev eth0

check "by address" soon says "web saw [2001:db8:1::2]" from peer '[2001:db8:1::80]'
check "AAAA of a name" says "Address: 2001:db8:1::80" asks peer aaaa web
check "of an alias with the network" says "Address: 2001:db8:1::80" asks peer aaaa www.both
check "A still" says "Address: $(settings web both '{{.IPAddress}}')" asks peer a web
check "backwards" says "web.both" docker exec peer nslookup 2001:db8:1::80 127.0.0.11
check "no AAAA of one with IPv4 alone, and no error" eval 'out=$(asks four aaaa four 2>&1) && [[ $out != *NXDOMAIN* && $out != *SERVFAIL* ]] && ! grep -A1 Name: <<< "$out"'

check "a published port from outside" says "web saw [fd77::2]" fetch client "[$six]:8080"
check "by IPv4, too" says "10.77.0.2" fetch client 10.77.0.11:8080
check "from the node by its address" says "web saw" fetch n1 "[$six]:8080"
check "from the node by localhost" says "web saw" fetch n1 "[::1]:8080"
check "from a neighbour" says "web saw" from peer "[$six]:8080"
check "from itself" says "web saw" from web "[$six]:8080"
check "from another network" says "web saw" from ranged "[$six]:8080"
check "a port of localhost from the node" says "web saw" fetch n1 "[::1]:8081"
check "but not from outside" not fetch client "[$six]:8081"
check "nor by IPv4" not fetch n1 127.0.0.1:8081
check "a port of one address" says "web saw [fd77::2]" fetch client "[$six]:8082"
check "a port of IPv4 alone" not fetch n1 "[::1]:8083"
check "inspect" equals "0.0.0.0 8080,:: 8080,::1 8081,$six 8082,127.0.0.1 8083," published web 80/tcp
check "docker port" says "[::]:8080" docker port web 80
check "a port twice is refused" refuses "Bind for :::8080 failed: port is already allocated" docker run --rm -p [::]:8080:80 alpine true
check "through the agent to one with IPv4 alone" soon says "four saw [::ffff:172.20.0.1]" fetch client "[$six]:8090"
check "by IPv6 only" says "four saw" fetch client "[$six]:8091"
check "not by IPv4" not fetch client 10.77.0.11:8091
head -c 3000000 /dev/urandom > "$LAB/big"
docker cp "$LAB/big" four:/www/big
check "a lot at once through the agent" eval 'in_ns client curl -gsf -m 20 "http://[$six]:8090/big" | cmp - "$LAB/big"'
inside() { in_ns n1 nsenter --net="$(docker inspect -f '{{.NetworkSettings.SandboxKey}}' "$1")" "${@:2}"; } # CONTAINER COMMAND…
inside four socat TCP-LISTEN:81,fork,reuseaddr EXEC:cat > /dev/null 2>&1 &
# the server answers all it was sent, and ends when the client has ended
check "an end passes, one way and then the other" soon eval 'out=$(echo over | in_ns n1 timeout 20 socat -t 60 - "TCP6:[::1]:8092") && [ "$out" = over ]'

docker run -d --name dns --network both -p 5353:53/udp alpine sleep 1000 > /dev/null
docker run -d --name dns4 --network plain -p 5354:53/udp alpine sleep 1000 > /dev/null
for c in dns dns4; do
	inside $c socat UDP6-LISTEN:53,fork EXEC:"echo pong" > /dev/null 2>&1 &
done
check "UDP" soon says pong udp client $six 5353
check "UDP by localhost" soon says pong udp n1 ::1 5353
check "UDP to one with IPv4 alone" soon says pong udp client $six 5354

# A name server that knows one answer to all questions, 192.0.2.7.
in_ns client python3 -c '
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("fd77::2", 53))
while True:
    q, who = s.recvfrom(512)
    end = q.index(0, 12) + 5
    s.sendto(q[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + q[12:end] + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\xc0\0\2\7", who)' > /dev/null 2>&1 &
docker run -d --name asker --network both --dns fd77::2 alpine sleep 1000 > /dev/null
check "a resolver with an IPv6 address" soon says "Address: 192.0.2.7" asks asker a elsewhere.example

check "networks are apart" not from ranged '[2001:db8:1::80]'
in_ns client ip route add 2001:db8:1::/64 via $six
check "what is not published is not reached from outside" not fetch client '[2001:db8:1::2]'
in_ns client socat TCP6-LISTEN:9000,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR' > /dev/null 2>&1 &
check "the way out is masqueraded" soon says "0011" docker exec peer sh -c 'sleep 1 | timeout 5 nc fd77::2 9000'
web in --network inside > /dev/null
check "an internal network has no way out" equals "" eval 'docker exec in ip -6 route | grep default'
check "nor a way in" not from web "[$(ip6_of in inside)]"
check "and no gateway" equals "" settings in inside '{{.IPv6Gateway}}'

check "connect live" docker network connect --ip6 2001:db8:1::90 both four
check "its address" says "2001:db8:1::90/64" docker exec four ip -6 addr show dev eth1
check "its names" says "Address: 2001:db8:1::90" asks peer aaaa four
check "its published port is sent on by the kernel now" soon says "four saw [fd77::2]" fetch client "[$six]:8090"
check "disconnect live" docker network disconnect both four
check "its name is gone there" not asks peer aaaa four
check "its port is the agent's again" says "four saw [::ffff:172.20.0.1]" fetch client "[$six]:8090"

agent_stop n1 KILL
check "without an agent the port works" says "web saw [fd77::2]" fetch client "[$six]:8080"
agent_start n1 --dns 127.0.0.1
check "after kill -9: the port" says "web saw [fd77::2]" fetch client "[$six]:8080"
check "by localhost" says "web saw" fetch n1 "[::1]:8080"
check "that of IPv4 alone" says "four saw" fetch client "[$six]:8090"
check "the names" says "Address: 2001:db8:1::80" asks peer aaaa web
check "addresses are still taken" refuses "Address already in use" docker run --rm --network both --ip6 2001:db8:1::80 alpine true
check "subnets, too" refuses "overlaps" docker network create --ipv6 --subnet 2001:db8:2::/64 x
check "the chosen one has stayed" equals "$chosen" configs inside
check "a new neighbour" web late --network both
check "finds the old ones" soon says "web saw" from late '[2001:db8:1::80]'
check "a flushed firewall is made whole" eval 'in_ns n1 nft flush ruleset && docker restart -t 0 web > /dev/null && soon fetch client "[$six]:8080"'
agent_stop n1
agent_start n1 --dns 127.0.0.1
check "after a stop and a start" says "web saw [fd77::2]" fetch client "[$six]:8080"

docker rm -f $(docker ps -aq) > /dev/null
check "prune takes all networks" says inside docker network prune -f
check "no table of IPv6 is left" equals "table ip swarm" in_ns n1 nft list tables
check "no port is held" equals "" in_ns n1 ss -Hltun 'sport = :8080 or sport = :8090 or sport = :5353'
agent_stop n1
agent_start n1 --dns 127.0.0.1 --default-address-pool base=fd12:3456::/48,size=64 --default-address-pool base=10.9.0.0/16,size=24 \
	--userland-proxy=false
in_ns n1 ip route add fd12:3456::/63 dev eth0
check "pools of the daemon's, beside the node's routes" docker network create --ipv6 pooled
check "inspect" equals "true 10.9.0.0/24 10.9.0.1 fd12:3456:0:2::/64 fd12:3456:0:2::1" configs pooled
web alone -p 8096:80 > /dev/null
web pool --network pooled -p 8097:80 > /dev/null
check "without a proxy a port is answered by its family" equals "0.0.0.0 8096," published alone 80/tcp
check "or by both" equals "0.0.0.0 8097,:: 8097," published pool 80/tcp
check "from outside" soon fetch client "[$six]:8097"
docker rm -f alone pool > /dev/null
check "remove" docker network rm pooled
agent_stop n1
agent_start n1 --ipv6 --fixed-cidr-v6 2001:db8:5::/64 --bip 10.8.0.1/16 --fixed-cidr 10.8.3.128/25 --ip 127.0.0.1
check "docker0 with IPv6" equals "true 10.8.0.0/16 10.8.0.1 2001:db8:5::/64 2001:db8:5::1" configs bridge
web zero -p 8095:80 > /dev/null
check "a container there" equals "2001:db8:5::2 2001:db8:5::1 10.8.3.128" \
	docker inspect -f '{{with .NetworkSettings}}{{.GlobalIPv6Address}} {{.IPv6Gateway}} {{.IPAddress}}{{end}}' zero
check "reaches outside" docker exec zero ping -c 1 -W 3 fd77::2
check "its ports are where --ip says" equals "127.0.0.1 8095," published zero 80/tcp
agent_stop n1
agent_start n1
check "docker0 without IPv6 again" equals "false" docker network inspect -f '{{.EnableIPv6}}' bridge
check "the container goes on" soon says "zero saw" fetch n1 127.0.0.1:8095
docker rm -f zero > /dev/null
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
