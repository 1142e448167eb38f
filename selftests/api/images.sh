#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Images with the docker CLI: load, build, tag, save, remove, and what is refused.
. "$(dirname "$0")/../lib.sh"
agent_start n1
work=$LAB/work
mkdir -p "$work"/{ctx,bad,e,q,x}
docker() { d n1 "$@"; }

check "load a Docker archive" base_image n1
check "it is listed" says alpine docker images
cat > "$work/ctx/Dockerfile" << 'END'
FROM alpine AS first
ARG WORD=none
RUN mkdir /d && echo $WORD > /d/word && ln -s word /d/link && rm /etc/os-release
FROM alpine
COPY --from=first /d /d
COPY file /file
ENV A=b
LABEL tier=front
WORKDIR /d
ENTRYPOINT ["/bin/cat", "/d/link"]
END
echo hello > "$work/ctx/file"
check "build two stages" says "Successfully tagged two:1" docker build -t two:1 --build-arg WORD=word "$work/ctx"
check "the output is the classic builder's" says "Step 1/" docker build -t two:2 "$work/ctx"
check "from the cache" says "Using cache" docker build "$work/ctx"
check "labels are the Dockerfile's alone" equals 'map[tier:front]' docker inspect -f '{{.Config.Labels}}' two:1
check "the configuration is the Dockerfile's" equals "[A=b] /d front" \
	docker inspect -f '{{slice .Config.Env 1}} {{.Config.WorkingDir}} {{.Config.Labels.tier}}' two:1
cat > "$work/q/Dockerfile" << 'END'
FROM alpine
RUN echo words
HEALTHCHECK --interval=5s CMD true
SHELL ["/bin/sh", "-e", "-c"]
ONBUILD RUN echo triggered
END
check "a quiet build says the image only" equals 1 sh -c "DOCKER_BUILDKIT=0 docker -H unix://$(node_sock n1) build -q -t parent $work/q 2> /dev/null | wc -l"
check "what OCI's configurations have not" equals '["CMD-SHELL","true"] ["/bin/sh","-e","-c"] ["RUN echo triggered"]' \
	docker inspect -f '{{json .Config.Healthcheck.Test}} {{json .Config.Shell}} {{json .Config.OnBuild}}' parent
check "is there after save and load" sh -c "docker -H unix://$(node_sock n1) save parent | docker -H unix://$(node_sock n1) load && docker -H unix://$(node_sock n1) inspect -f '{{.Config.Healthcheck.Interval}}' parent | grep 5s"
check "steps are cached" says "Using cache" docker build "$work/q"
stdin_file() { echo 'FROM parent' | docker build -f - "$work/ctx"; }
check "a Dockerfile from the input, and triggers" says "triggered" stdin_file
failing() { printf 'FROM alpine\n%s\n' "$1" | docker build -f - "$work/ctx"; }
check "a command that fails" refuses "The command '/bin/sh -c exit 3' returned a non-zero code: 3" failing 'RUN exit 3'
check "a file that is not there" refuses "file not found in build context" failing 'COPY none /'
net_none() { printf 'FROM alpine\nRUN cat /etc/hosts /proc/net/dev\n' | docker build --no-cache --network none --add-host other:192.0.2.9 -f - "$work/ctx"; }
check "without network, with a host" says "192.0.2.9" net_none
no_link() { ! net_none | grep eth0; }
check "not even the node's" no_link
check "filter by label" equals "two" docker images --filter label=tier=front --filter reference=two:1 --format '{{.Repository}}'
check "filter by age" equals "" docker images -q --filter until=1h --filter reference=two:1
check "newest first" equals true eval 'curl -s --unix-socket "$(node_sock n1)" http://d/images/json | jq "map(.Created) as \$t | \$t == (\$t | sort | reverse)"'
df() { curl -s --unix-socket "$(node_sock n1)" "http://d/v$1/system/df$2" | jq -c "$3"; }
check "space as it was told" equals '["BuildCache","Containers","Images","LayersSize","Volumes"]' df 1.51 "" keys
check "space by kind" equals '["BuildCacheUsage","ContainerUsage","ImageUsage","VolumeUsage"]' df 1.53 "?verbose=1" keys
check "with what takes it" equals true df 1.53 "?verbose=1" '.ImageUsage | .TotalCount == (.Items | length)'
check "save" docker save -o "$work/two.tar" two:1
check "the archive is a Docker and an OCI one" tar -tf "$work/two.tar" manifest.json index.json oci-layout
check "remove" says "Deleted: sha256:" docker rmi two:1 two:2
check "load what was saved" says "Loaded image: two:1" docker load -i "$work/two.tar"
tar -C "$work/x" -xf "$work/two.tar" && tar -C "$work/x" -czf "$work/two.tgz" .
check "load it compressed and with ./ in front" says "Loaded image: two:1" docker load -i "$work/two.tgz"
head -c 100000 "$work/two.tar" > "$work/cut.tar"
check "why is told in the stream" equals 200 curl -s -o /dev/null -w '%{http_code}' --unix-socket "$(node_sock n1)" -X POST --data-binary @"$work/cut.tar" http://d/images/load
check "a truncated archive is refused" refuses "runcated" docker load -i "$work/cut.tar"
check "a bad name is refused" refuses "invalid reference format" docker tag two:1 'Two::1'
check "an image that is not here" refuses "No such image: none:latest" docker history none
printf 'FROM alpine\nNONSENSE x\n' > "$work/bad/Dockerfile"
printf 'FROM alpine\nRUN exit 3\n' > "$work/bad/Dockerfile"
check "a command that fails" refuses "The command '/bin/sh -c exit 3' returned a non-zero code: 3" docker build "$work/bad"
printf 'FROM alpine\nNONSENSE x\n' > "$work/bad/Dockerfile"
check "an unknown instruction fails the build" refuses "NONSENSE" docker build "$work/bad"
echo 'FROM alpine' > "$work/e/Dockerfile"
echo x > "$work/e/evil"
tar -C "$work/e" -cPf "$work/e.tar" --transform 's,evil,../../evil,' Dockerfile evil
check "a context that escapes is refused" says "outside of its folder" \
	curl -s --unix-socket "$(node_sock n1)" -X POST -H 'Content-Type: application/x-tar' --data-binary "@$work/e.tar" http://d/build
check "pull without a registry says why" refuses "cannot be used" docker pull localhost:1/none
agent_stop n1
agent_start n1
check "images are there after a restart" says two docker images
agent_stop n1 KILL
agent_start n1
check "and after kill -9" says two docker images
docker image prune -af --filter until=24h > /dev/null
check "a prune spares what is young" says parent docker images
docker image prune -af --filter 'label!=tier=front' > /dev/null
check "and what has a label" equals two docker images --format '{{.Repository}}'
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
