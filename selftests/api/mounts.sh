#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What --mount can beside whole volumes and folders: parts of volumes, images, and how deep read-only goes.
. "$(dirname "$0")/../lib.sh"
agent_start n1
check "an image" base_image n1
with() { d n1 run --rm --network none --mount "$1" alpine sh -c "$2"; }

d n1 run --rm --network none -v vol:/v alpine sh -c 'mkdir -p /v/a/b; echo deep > /v/a/b/f; ln -s /etc /v/abs; ln -s ../../../../../../.. /v/a/up; ln -s a/b /v/in'
v=type=volume,src=vol,dst=/x
check "a folder of a volume" equals deep with $v,volume-subpath=a/b 'cat /x/f; echo new > /x/g'
check "is the volume's" equals new with $v 'cat /x/a/b/g'
check "a file of a volume" equals deep with $v,volume-subpath=a/b/f 'cat /x'
check "read-only, too" equals deep with $v,volume-subpath=a/b/f,readonly 'cat /x'
check "by a link inside" equals deep with $v,volume-subpath=in 'cat /x/f'
check "not by a link out of it" refuses "path concatenation escapes the base directory" with $v,volume-subpath=abs 'ls /x'
check "nor upwards" refuses "path concatenation escapes the base directory" with $v,volume-subpath=a/up/etc 'ls /x'
check "what is not there" refuses "_data/none: no such file or directory" with $v,volume-subpath=none 'ls /x'
check "read-only" refuses "Read-only file system" with $v,volume-subpath=a,readonly 'touch /x/h'
check "nothing is copied there" refuses "Empty" with type=volume,src=vol,dst=/etc,volume-subpath=a 'ls /etc/os-release || echo Empty; exit 1'

printf 'FROM alpine\nRUN mkdir /d && echo held > /d/f && ln -s /etc /d/out\n' | d n1 build -q -t held - > /dev/null 2>&1
i=type=image,src=held,dst=/x
check "an image" equals held with $i 'cat /x/d/f'
check "a folder of it" equals held with $i,image-subpath=d 'cat /x/f'
check "a file of it" equals held with $i,image-subpath=d/f 'cat /x'
check "not what is outside" refuses "path concatenation escapes the base directory" with $i,image-subpath=d/out 'ls /x'
check "it can be written to" equals mine with $i 'echo mine > /x/d/f; cat /x/d/f'
check "and stays as it is" equals held with $i 'cat /x/d/f'
check "unless it is read-only" refuses "Read-only file system" with $i,readonly 'touch /x/h'
check "an image that is not here" refuses "No such image: none:latest" with type=image,src=none,dst=/x true
d n1 run -d --name user --network none --mount $i alpine sleep 1000 > /dev/null
check "an image in use is not removed" refuses "container" d n1 rmi held
agent_stop n1 KILL
agent_start n1
check "nor after the agent's end" refuses "container" d n1 rmi held
check "it is shown" equals "image true /x" d n1 inspect -f '{{range .Mounts}}{{.Type}} {{.RW}} {{.Destination}}{{end}}' user
check "and still there" equals held d n1 exec user cat /x/d/f
d n1 exec user sh -c 'echo kept > /x/d/f'
d n1 restart -t 0 user > /dev/null
check "what was written lives as long as the container" equals kept d n1 exec user cat /x/d/f
d n1 rm -f user > /dev/null
check "then it is removed" says Deleted d n1 rmi held

mkdir -p "$LAB/tree"
in_ns n1 mount -t tmpfs tmpfs "$LAB/tree"
in_ns n1 mkdir "$LAB/tree/sub"
in_ns n1 mount -t tmpfs tmpfs "$LAB/tree/sub"
b=type=bind,src=$LAB/tree,dst=/x
check "read-only goes down" refuses "Read-only file system" with "$b,readonly" 'touch /x/sub/f'
check "and must" refuses "Read-only file system" with "$b,readonly,bind-recursive=readonly,bind-propagation=rprivate" 'touch /x/sub/f'
check "unless it shall not" with "$b,readonly,bind-recursive=writable" 'touch /x/sub/f'
check "without what is below" equals "" with "$b,bind-recursive=disabled" 'ls /x/sub'
in_ns n1 umount "$LAB/tree/sub" "$LAB/tree"
check "--tmpfs without noexec" equals 0 bash -c "docker -H unix://$(node_sock n1) run --rm --network none --tmpfs /x:exec alpine grep ' /x ' /proc/mounts | grep -c noexec"

check "a swarm of one" says "Swarm initialized" d n1 swarm init --advertise-addr "$(node_ip n1)"
d n1 service create -q --detach --name part --mount $v,volume-subpath=a/b alpine sh -c 'cat /x/f; exec sleep 1000' > /dev/null
task_says() { d n1 service logs --raw part | grep -qx deep; }
check "a task's part of a volume" wait_for 60 task_says
d n1 service rm part > /dev/null
check "leave" says "left the swarm" d n1 swarm leave --force
gone() { [ -z "$(d n1 ps -aq)" ]; }
wait_for 60 gone
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
