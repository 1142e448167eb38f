# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Web servers in containers, for the tests of networks. To be sourced after lib.sh, with docker() set.

# A web server that names itself. usage: web NAME ARG…
web() {
	local name=$1
	shift
	docker run -d --name "$name" --hostname "$name" "$@" alpine sh -c \
		'mkdir -p /www/cgi-bin; printf "#!/bin/sh\necho; echo \$(hostname) saw \$REMOTE_ADDR\n" > /www/cgi-bin/id
		chmod +x /www/cgi-bin/id; exec httpd -f -p 80 -h /www'
}
# Fetch from a web server within a container. usage: from CONTAINER HOST[:PORT]
from() { docker exec "$1" timeout 3 wget -q -O - "http://$2/cgi-bin/id"; }
