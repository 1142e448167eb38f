#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A registry of its own on the node: push, pull, what it says of an image, and a service that runs by
# digest.
. "$(dirname "$0")/../lib.sh"
command -v docker-registry > /dev/null || { echo "ok 1 # SKIP no docker-registry"; trap - EXIT; lab_down; exit 0; }
agent_start n1
sock=$(node_sock n1)
docker_cli=$(command -v docker)
docker() { timeout 60 "$docker_cli" -H "unix://$sock" "$@"; }
base_image n1
registry_start n1 127.0.0.1:5000
check "the registry answers" wait_for 20 in_ns n1 curl -sf http://127.0.0.1:5000/v2/
repo=127.0.0.1:5000/a/alpine
docker tag alpine $repo:1
check "push" says "pushed" docker push $repo:1
digest=$(in_ns n1 curl -sI -H 'Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json' http://127.0.0.1:5000/v2/a/alpine/manifests/1 |
	tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p')
check "what it says of the image" equals "$digest amd64" bash -c "curl -s --unix-socket $sock http://d/distribution/$repo:1/json | jq -r '.Descriptor.digest + \" \" + .Platforms[0].architecture'"
check "an image that it has not" says "manifest unknown" curl -s --unix-socket "$sock" http://d/distribution/$repo:2/json
docker rmi $repo:1 > /dev/null
check "pull" says "Digest: $digest" docker pull $repo:1
check "the digest is the registry's" equals "$repo@$digest" docker inspect -f '{{index .RepoDigests 0}}' $repo:1
check "run by digest" equals hello docker run --rm --network none $repo@"$digest" echo hello
docker rmi $repo:1 > /dev/null
check "pull what is not there" refuses "manifest unknown" docker pull $repo:2
# -- an image is the same behind a registry
printf 'FROM %s:1\nHEALTHCHECK CMD true\n' $repo | d n1 build -q -t $repo:well - 2> /dev/null > /dev/null
id=$(docker inspect -f '{{.Id}} {{json .Config.Healthcheck.Test}}' $repo:well)
docker push -q $repo:well > /dev/null
docker rmi $repo:well > /dev/null
docker pull -q $repo:well > /dev/null
check "what was pushed comes back as it was" equals "$id" docker inspect -f '{{.Id}} {{json .Config.Healthcheck.Test}}' $repo:well
docker rmi $repo:well > /dev/null
from_registry() { printf 'FROM %s:well\nRUN echo based\n' $repo | d n1 build --no-cache -; }
check "a base that is only in the registry" says based from_registry
docker swarm init --advertise-addr "$(node_ip n1)" > /dev/null
check "a service, resolved to its digest by the client" docker service create --name s $repo:1 sleep 1000
check "it runs by digest" equals "$repo:1@$digest" docker service inspect -f '{{.Spec.TaskTemplate.ContainerSpec.Image}}' s
check "its container, too" equals "$repo:1@$digest" docker ps --no-trunc --filter label=com.docker.swarm.service.name=s --format '{{.Image}}'
docker service rm s > /dev/null
docker swarm leave --force > /dev/null
kill $registry
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
