#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the agent fetches for its clients: searches in registries, images and build contexts at
# addresses.
#
#   client 10.77.0.2: web.py on 80 and 443 --- switch --- n1 10.77.0.11
. "$(dirname "$0")/../lib.sh"
for tool in python3 openssl git; do
	command -v $tool > /dev/null || { echo "ok 1 # SKIP no $tool"; trap - EXIT; lab_down; exit 0; }
done
web=$LAB/web
mkdir -p "$web/x"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=web \
	-addext "subjectAltName=DNS:web.lab,DNS:index.docker.io" -keyout "$LAB/key.pem" -out "$LAB/ca.crt" 2> /dev/null
nsenter -t "$(lab_pid client)" -n -- python3 selftests/api/web.py "$web" "$LAB/ca.crt" "$LAB/key.pem" 80 443 > "$LAB/web.out" 2>&1 &
server=$!
host_new n1 "$(node_ip n1)"
# the Hub, as this node sees it, is the server, too
printf '127.0.0.1\tlocalhost\n10.77.0.2\tweb.lab plain.lab index.docker.io\n' > "$LAB/hosts"
in_ns n1 mount --bind "$LAB/hosts" /etc/hosts
# a node without libcurl runs, and says so when asked to fetch
host_new n2 "$(node_ip n2)"
lib=$(ldconfig -p | awk '/libcurl\.so\.4 / {print $NF; exit}')
in_ns n2 mount --bind /dev/null "$(readlink -f "$lib")"
agent_start n2
check "without libcurl" refuses "install libcurl" d n2 search alpine
agent_stop n2
maps_curl() { grep -q libcurl "/proc/$(cat "$LAB/n1/pid")/maps"; }
agent_start n1 --insecure-registry plain.lab --insecure-registry plain.lab:80
base_image n1
docker_cli=$(command -v docker)
docker() { DOCKER_BUILDKIT=0 timeout $((60 * SLOW)) "$docker_cli" -H "unix://$(node_sock n1)" "$@"; }
search() { docker search --format '{{.Name}} {{.StarCount}} {{.IsOfficial}}' "$@"; }
asked() { tail -1 "$web.log"; }
call() { curl -s -g --unix-socket "$(node_sock n1)" "$@"; }
check "the server answers" wait_for 20 in_ns n1 curl -sfk https://web.lab/

check "libcurl is not loaded before it is needed" eval '! maps_curl'
check "search a registry with a certificate of its own" refuses "/etc/docker/certs.d/web.lab/ca.crt" search web.lab/alpine
check "now it is" maps_curl
check "not the Hub's" refuses "certificate" search alpine
in_ns n1 mount -t tmpfs none /etc/docker
for host in web.lab index.docker.io; do
	in_ns n1 mkdir -p "/etc/docker/certs.d/$host"
	in_ns n1 cp "$LAB/ca.crt" "/etc/docker/certs.d/$host/"
done
all='alpine 900 [OK]
user/alpine 7 
other/alpine 0 '
check "search the Hub" equals "$all" search alpine
check "25 are asked for" equals "/v1/search?q=alpine&n=25 -" asked
check "search another registry" equals "$all" search web.lab/alpine
check "without TLS, where that is allowed" equals "$all" search plain.lab:80/alpine
check "with a certificate of no authority there, too" equals "$all" search plain.lab/alpine
check "a limit" equals "alpine 900 [OK]" search --limit 1 alpine
check "is asked for" equals "/v1/search?q=alpine&n=1 -" asked
check "official ones" equals "alpine 900 [OK]" search --filter is-official=true alpine
check "those that are not" equals "user/alpine 7 
other/alpine 0 " search --filter is-official=false alpine
check "with stars" equals "alpine 900 [OK]
user/alpine 7 " search --filter stars=3 alpine
check "automated builds are no more" equals "[]" call 'http://d/images/search?term=alpine&filters={"is-automated":["true"]}'
check "what is not there" equals "[]" call "http://d/images/search?term=nothing"
check "every field" equals '{"description":"","is_automated":false,"is_official":false,"name":"user/alpine","star_count":7}' \
	eval 'call "http://d/images/search?term=user/alpine" | jq -cS ".[]"'
check "odd terms arrive" equals "/v1/search?q=a%20b%26c&n=25 -" eval 'call "http://d/images/search?term=a%20b%26c" > /dev/null; asked'
auth=$(printf '{"username":"me","password":"pass:word"}' | base64 -w 0)
check "credentials" equals "/v1/search?q=x&n=25 Basic $(printf me:pass:word | base64)" \
	eval 'call -H "X-Registry-Auth: $auth" "http://d/images/search?term=x" > /dev/null; asked'
check "a limit that is too high" refuses "limit 101 is outside the range of [1, 100]" search --limit 101 alpine
check "no number" says "invalid limit specified" call "http://d/images/search?term=x&limit=many"
check "no such filter" says "invalid filter 'x'" call 'http://d/images/search?term=x&filters={"x":["y"]}'
check "no number of stars" says "invalid filter 'stars=x'" call 'http://d/images/search?term=x&filters={"stars":["x"]}'
check "a scheme" refuses "should not have a scheme" search http://web.lab/alpine
check "no list" refuses "error decoding registry search results" search broken
check "no answer" refuses "Unexpected status code 503" search down

printf 'here\n' > "$web/x/file"
tar -C "$web/x" -cf "$web/root.tar" file
check "import from an address" says "Downloading from http://web.lab/root.tar" docker import -c 'CMD ["/x"]' -c 'ENV A=b' http://web.lab/root.tar imported:1
check "its content" equals here sh -c "docker -H unix://$(node_sock n1) create --name made imported:1 > /dev/null; docker -H unix://$(node_sock n1) cp made:/file - | tar -xO"
check "its changes" equals '[/x] [A=b] Imported from http://web.lab/root.tar' docker inspect -f '{{.Config.Cmd}} {{.Config.Env}} {{.Comment}}' imported:1
check "by way of another, without a scheme" says "sha256:" call -X POST "http://d/images/create?fromSrc=web.lab/moved&repo=imported:2"
check "what is not there" refuses "failed to GET http://web.lab/none.tar with status 404" docker import http://web.lab/none.tar
check "no such host" refuses 'Get "http://nowhere.invalid/x": ' docker import http://nowhere.invalid/x
check "what is no tar" refuses "not a tar archive" docker import http://web.lab/x/file
check "a change that is none" refuses "NONSENSE is not a valid change command" docker import -c 'NONSENSE x' http://web.lab/root.tar

build() { call -X POST "http://d/build?t=$1&remote=$2${3+&$3}" | jq -rj '.stream // .error // .message // empty'; }
content() { docker run --rm --network none "$1" cat /file; }
printf 'FROM alpine\nRUN echo alone > /file\n' > "$web/Dockerfile"
printf 'FROM alpine\nCOPY file /file\n' > "$web/x/Dockerfile"
printf 'FROM alpine\nADD http://10.77.0.2/x/file /file\n' > "$web/x/Add"
tar -C "$web/x" -cf "$web/context.tar" file Dockerfile Add
check "build a Dockerfile at an address" says "Successfully tagged one:1" build one:1 http://web.lab/Dockerfile
check "its content" equals alone content one:1
check "build a tar" says "Successfully tagged two:1" build two:1 http://web.lab/context.tar
check "its content" equals here content two:1
check "ADD from an address" says "Successfully tagged add:1" docker build -t add:1 -f "$web/x/Add" "$web/x"
check "its content" equals here content add:1
check "what is not there" says "error downloading remote context http://web.lab/none: failed to GET http://web.lab/none with status 404" build x:1 http://web.lab/none
echo '<p>' > "$web/page.html"
check "a page" says 'unsupported Content-Type "text/html"' build x:1 http://web.lab/page.html
check "no address" says "remoteURL (nonsense) could not be recognized as URL" build x:1 nonsense

repo=$web/repo
git() { command git -c init.defaultBranch=trunk -c user.name=n -c user.email=e@e "$@"; }
git init -q "$repo"
mkdir "$repo/sub"
cp "$web/x/Dockerfile" "$repo/"
cp "$web/x/Dockerfile" "$repo/sub/"
echo top > "$repo/file"
echo deep > "$repo/sub/file"
ln -s /etc "$repo/out"
git -C "$repo" add . && git -C "$repo" commit -q -m 1
git -C "$repo" checkout -q -b side
echo aside > "$repo/file"
git -C "$repo" commit -q -a -m 2
git -C "$repo" checkout -q trunk
git clone -q --bare "$repo" "$web/repo.git"
git -C "$web/repo.git" update-server-info
check "build a repository" says "Successfully tagged git:1" build git:1 http://web.lab/repo.git
check "its content" equals top content git:1
check "a branch" says "Successfully tagged git:2" build git:2 http://web.lab/repo.git%23side
check "its content" equals aside content git:2
check "a folder" says "Successfully tagged git:3" build git:3 http://web.lab/repo.git%23:sub
check "its content" equals deep content git:3
check "no such branch" says "error fetching" build x:1 http://web.lab/repo.git%23none
check "no such folder" says "not within git root" build x:1 http://web.lab/repo.git%23:none
check "a folder outside" says "not within git root" build x:1 http://web.lab/repo.git%23:out
check "an option for a branch" says "invalid refspec: -u" build x:1 http://web.lab/repo.git%23-u
check "nothing is kept" equals "" ls "$LAB/n1/data/image/tmp"
kill $server
docker rm -f made > /dev/null
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
