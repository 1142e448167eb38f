#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docker-compose against the agent: a project with a build, networks, volumes, a health check to wait for.
. "$(dirname "$0")/../lib.sh"
compose_cli=$(command -v docker-compose) || { echo "ok 1 # SKIP no docker-compose"; trap - EXIT; lab_down; exit 0; }
agent_start n1
base_image n1
work=$LAB/shop
mkdir -p "$work"
compose() { (cd "$work" && DOCKER_HOST=unix://$(node_sock n1) COMPOSE_ANSI=never timeout $((120 * SLOW)) "$compose_cli" "$@"); }
docker() { d n1 "$@"; }
cat > "$work/Dockerfile" << 'END'
FROM alpine
ARG GREETING=none
RUN mkdir -p /www/cgi-bin && echo $GREETING > /www/index.html
CMD ["httpd", "-f", "-p", "80", "-h", "/www"]
END
cat > "$work/docker-compose.yml" << 'END'
version: "2.4"
services:
  db:
    image: alpine
    command: ["sh", "-c", "echo db $$WORD; test -e /data/kept || echo first > /data/kept; touch /ready; exec sleep 1000"]
    environment: {WORD: spoken}
    healthcheck: {test: ["CMD", "test", "-e", "/ready"], interval: 200ms, retries: 100}
    networks: {back: {aliases: [store]}}
    volumes: ["data:/data", "./file:/file:ro"]
    mem_limit: 64m
    stop_grace_period: 0s
  web:
    build: {context: ., args: {GREETING: hello}}
    image: shop/web
    depends_on: {db: {condition: service_healthy}}
    networks: [front, back]
    ports: ["8085-8090:80"]
    links: ["db:base"]
    labels: {tier: front}
    stop_grace_period: 0s
networks:
  front: {}
  back: {internal: true, ipam: {config: [{subnet: 10.66.0.0/24}]}}
volumes:
  data: {labels: {a: b}}
END
echo shared > "$work/file"
check "build" says "Successfully tagged shop/web:latest" compose build
check "up" compose up -d
check "both run" equals "shop_db_1 running
shop_web_1 running" eval 'docker ps -a --format "{{.Names}} {{.State}}" | sort'
check "the health check was waited for" equals healthy docker inspect -f '{{.State.Health.Status}}' shop_db_1
check "the port answers" wait_for 20 in_ns n1 curl -sf http://127.0.0.1:8085/
check "ps" says "Up (healthy)" compose ps
check "by service" says Address compose exec -T web nslookup db
check "by alias" says 10.66.0. compose exec -T web nslookup store
check "by link" says 10.66.0. compose exec -T web nslookup base
check "exec" equals first compose exec -T db cat /data/kept
check "a file of the project" equals shared compose exec -T db cat /file
check "logs" says "db spoken" compose logs db
check "up again changes nothing" says "up-to-date" compose up -d
check "scale" compose up -d --scale web=3
check "three" equals 3 eval 'compose ps -q web | wc -l'
check "a second port" wait_for 20 in_ns n1 curl -sf http://127.0.0.1:8086/
check "and back" compose up -d --scale web=1
check "one" equals 1 eval 'compose ps -q web | wc -l'
check "port" says 80 compose port web 80
check "run" equals "spoken first" eval "compose run --rm db sh -c 'echo \$WORD \$(cat /data/kept)' 2> /dev/null"
sed -i 's/GREETING: hello/GREETING: bye/; s/tier: front/tier: other/' "$work/docker-compose.yml"
check "a change makes it anew" compose up -d --build
check "with the new image" equals bye compose exec -T web cat /www/index.html
check "and the new label" equals other docker inspect -f '{{.Config.Labels.tier}}' shop_web_1
check "the volume is kept" equals first compose exec -T db cat /data/kept
check "stop" compose stop
check "events of the project are told" says "container die" docker events --since 10m --until "$(date +%s.%N)" --filter label=com.docker.compose.project=shop
check "down" compose down
check "networks are gone" equals "bridge host none" eval 'docker network ls --format "{{.Name}}" | sort | xargs'
check "volumes are not" equals shop_data docker volume ls -q
check "down with volumes and images" compose down -v --rmi all
check "nothing of it is left" equals "" eval 'docker ps -aq; docker volume ls -q; docker images -q shop/web'
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
