# SPDX-License-Identifier: Apache-2.0
"""docker-py against the agent at DOCKER_HOST; TAP on standard output. ADDRESS is the node's."""
import io
import os
import tarfile
import time

import docker

failed = 0
number = 0


def check(what, got, want=True):
    """want: a value, or a function of what was got."""
    global failed, number
    number += 1
    try:
        value = got() if callable(got) else got
        well = want(value) if callable(want) else value == want
        text = repr(value)[:300]
    except Exception as e:  # whatever the library makes of a bad answer
        well, text = False, f"{type(e).__name__}: {str(e)[:300]}"
    print(f"{'ok' if well else 'not ok'} {number} - docker-py: {what}", flush=True)
    if not well:
        failed += 1
        print(f"# got {text}", flush=True)


def none(x):
    return x is None


def eventually(f, want, seconds=60):
    """Ask again until it is so; returns the last answer."""
    end = time.monotonic() + seconds
    while True:
        v = f()
        if v == want or time.monotonic() > end:
            return v
        time.sleep(0.1)


def tar_of(name, data):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode="w") as t:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        t.addfile(info, io.BytesIO(data))
    return b.getvalue()


def read_tar(chunks, name):
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as t:
        return t.extractfile(name).read()


c = docker.from_env(version="auto")
check("ping", c.ping)
check("version", lambda: c.version()["Os"], "linux")
check("images", lambda: [i.tags for i in c.images.list()], [["alpine:latest"]])

# containers
check("run", lambda: c.containers.run("alpine", "echo hi", remove=True, network_mode="none"), b"hi\n")
try:
    c.containers.run("alpine", ["sh", "-c", "echo e >&2; exit 2"], remove=True, network_mode="none")
    check("a failing run", False)
except docker.errors.ContainerError as e:
    check("a failing run", (e.exit_status, e.stderr), (2, b"e\n"))
ctr = c.containers.run("alpine", "sleep 1000", detach=True, name="one", labels={"a": "b"},
                       environment={"X": "y"})
check("list by label", lambda: [x.name for x in c.containers.list(filters={"label": "a=b"})], ["one"])
check("exec", lambda: ctr.exec_run("echo x"), lambda r: (r.exit_code, r.output) == (0, b"x\n"))
check("exec with both streams", lambda: ctr.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True).output,
      (b"o\n", b"e\n"))
# by what the start asks for, not by the terminal
check("exec at a terminal with heads", lambda: c.api.exec_start(
    c.api.exec_create(ctr.id, ["sh", "-c", "echo o; echo e >&2"], tty=True)["Id"], demux=True),
      (b"o\r\ne\r\n", None))
def refused(f):
    try:
        return f()
    except docker.errors.APIError as e:
        return e.explanation


# docker-py writes "detachKeys"
check("exec with keys that are none", refused(lambda: c.api.exec_create(ctr.id, "x", detach_keys="ctrl-1")),
      "Invalid detach keys (ctrl-1) provided")
check("environment", lambda: ctr.exec_run(["sh", "-c", "echo $X"]).output, b"y\n")
check("stats", lambda: ctr.stats(stream=False)["pids_stats"]["current"], lambda n: n >= 1)
check("top", lambda: len(ctr.top()["Processes"]), 1)
check("put a file", lambda: ctr.put_archive("/tmp", tar_of("f", b"data")))
check("get it", lambda: read_tar(ctr.get_archive("/tmp/f")[0], "f"), b"data")
check("diff", lambda: {"Path": "/tmp/f", "Kind": 1} in ctr.diff())
check("pause", ctr.pause, none)
check("paused", lambda: (ctr.reload(), ctr.status)[1], "paused")
check("unpause", ctr.unpause, none)
check("rename", lambda: ctr.rename("two"), none)
check("update", lambda: ctr.update(mem_limit="64m"), lambda r: "Warnings" in r)
check("commit", lambda: ctr.commit("img", "v1").tags, ["img:v1"])
check("restart", lambda: ctr.restart(timeout=0), none)
check("kill", ctr.kill, none)
check("wait", lambda: ctr.wait()["StatusCode"], 137)
check("remove", ctr.remove, none)
check("it is gone", lambda: c.containers.list(all=True), [])
check("remove the image", lambda: c.images.remove("img:v1"), none)

# volumes and networks
check("a volume", lambda: c.volumes.create("v1", labels={"l": "m"}).name, "v1")
check("volumes by label", lambda: [v.name for v in c.volumes.list(filters={"label": "l"})], ["v1"])
check("remove it", lambda: c.volumes.get("v1").remove(), none)
pool = docker.types.IPAMPool(subnet="192.168.77.0/24")
net = c.networks.create("nn", driver="bridge", ipam=docker.types.IPAMConfig(pool_configs=[pool]))
ctr = c.containers.run("alpine", "sleep 1000", detach=True)
check("connect", lambda: net.connect(ctr, aliases=["al"]), none)
check("the network shows it", lambda: (net.reload(), [x.id for x in net.containers])[1], [ctr.id])
check("disconnect", lambda: net.disconnect(ctr), none)
check("remove by force", lambda: ctr.remove(force=True), none)
check("remove the network", net.remove, none)
check("space", lambda: c.df()["LayersSize"], lambda n: n > 0)
check("prune", lambda: c.networks.prune()["NetworksDeleted"], lambda r: not r)

# the swarm
check("init", lambda: c.swarm.init(advertise_addr=os.environ["ADDRESS"]), lambda i: len(i) == 25)
check("tokens", lambda: (c.swarm.reload(), c.swarm.attrs["JoinTokens"]["Worker"])[1],
      lambda t: t.startswith("SWMTKN-1-"))
check("update the swarm", lambda: c.swarm.update(rotate_worker_token=True, task_history_retention_limit=4))
check("no unlock key", lambda: c.swarm.get_unlock_key()["UnlockKey"], "")
check("nodes", lambda: [n.attrs["Status"]["State"] for n in c.nodes.list()], ["ready"])
node = c.nodes.list()[0]
check("update a node", lambda: node.update({"Availability": "active", "Role": "manager", "Labels": {"k": "v"}}))
check("its label", lambda: (node.reload(), node.attrs["Spec"]["Labels"])[1], {"k": "v"})
secret = c.secrets.create(name="s", data=b"x")
config = c.configs.create(name="c", data=b"x")
check("secrets", lambda: [s.id for s in c.secrets.list()], [secret.id])
check("configs", lambda: [s.id for s in c.configs.list()], [config.id])
svc = c.services.create(
    "alpine", command=["sh", "-c", "echo started; exec sleep 1000"], name="sv", env=["A=1"],
    mode=docker.types.ServiceMode("replicated", replicas=2), constraints=["node.role==manager"],
    resources=docker.types.Resources(mem_limit=1 << 25), labels={"tier": "x"},
    restart_policy=docker.types.RestartPolicy("any"), stop_grace_period=1000000000,
    update_config=docker.types.UpdateConfig(parallelism=2, monitor=500000000))
running = {"desired-state": "running"}


def states():
    return [t["Status"]["State"] for t in svc.tasks(running)]


check("a service runs", lambda: eventually(states, ["running"] * 2), ["running"] * 2)
check("services by label", lambda: [s.name for s in c.services.list(filters={"label": "tier=x"})], ["sv"])
check("its logs", lambda: b"".join(svc.logs(stdout=True)), b"started\nstarted\n")
check("scale", lambda: (svc.reload(), svc.scale(1))[1], lambda r: "Warnings" in r)
check("one is left", lambda: eventually(states, ["running"]), ["running"])
# docker-py scales with a whole spec, defaults and all: that is an update, which must have ended
check("its update is complete", lambda: eventually(
    lambda: (svc.reload(), svc.attrs.get("UpdateStatus", {}).get("State"))[1], "completed"), "completed")
check("update", lambda: (svc.reload(), svc.update(env=["A=2"]))[1], lambda r: "Warnings" in r)
check("the new environment", lambda: (svc.reload(), svc.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"])[1],
      ["A=2"])
check("an overlay network", lambda: c.networks.create("ov", driver="overlay", attachable=True).attrs["Scope"], "swarm")
check("plugins", c.plugins.list, [])
now = int(time.time())
check("events", lambda: [e["Action"] for e in c.events(since=now - 600, until=now + 1, decode=True,
                                                       filters={"type": "service"})],
      lambda a: a[:1] == ["create"] and "update" in a)
check("remove", svc.remove)
check("leave", lambda: c.swarm.leave(force=True))
raise SystemExit(1 if failed else 0)
