# SPDX-License-Identifier: Apache-2.0
"""The Engine API's OpenAPI file against a live agent: every path and method is routed, and answers have
the fields that the file documents, with their types.

usage: schema.py OPENAPI.yaml SOCKET ADDRESS
The agent is in no swarm yet and has the image alpine. TAP; what differs is listed below each "not ok".
"""
import http.client
import json
import re
import socket
import sys
import time
import urllib.parse

import yaml

FILE, SOCKET, ADDRESS = sys.argv[1:]
with open(FILE, encoding="utf-8") as f:
    DOC = yaml.safe_load(f)
TYPES = {"string": str, "boolean": bool, "object": dict, "array": list}
# Fields that dockerd leaves out where there is nothing to tell ("omitempty" of moby's api/types), of
# definitions or, by their field, of objects within: an answer need not have them. "*": any of it, as
# what is asked for is shown as it was asked for.
OPTIONAL = """
ContainerSummary.ImageManifestDescriptor ContainerSummary.Health ContainerSummary.HostConfig.Annotations
ContainerInspectResponse.ImageManifestDescriptor ContainerInspectResponse.Storage MountPoint.Driver MountPoint.Name
ContainerConfig.ArgsEscaped ContainerConfig.NetworkDisabled ContainerConfig.Shell ContainerConfig.StopSignal
ContainerConfig.StopTimeout HealthConfig.* HostConfig.Annotations HostConfig.Init HostConfig.Mounts
HostConfig.StorageOpt HostConfig.Sysctls HostConfig.Tmpfs ContainerWaitResponse.Error
ContainerCPUUsage.percpu_usage ContainerMemoryStats.commitbytes ContainerMemoryStats.commitpeakbytes
ContainerMemoryStats.privateworkingset ContainerStorageStats.* ContainerSummary.SizeRw ContainerSummary.SizeRootFs
ImageSummary.Descriptor ImageSummary.Manifests ImageConfig.* ImageInspect.Descriptor ImageInspect.Identity
ImageInspect.Manifests ImageInspect.OsVersion ImageInspect.Variant ImageDeleteResponseItem.*
Volume.ClusterVolume Volume.Status Volume.UsageData IPAMConfig.* NetworkSummary.Peers NetworkInspect.Peers
NetworkInspect.Services NetworkInspect.Status SystemInfo.Containerd SystemInfo.DefaultAddressPools
SystemInfo.DiscoveredDevices FirewallInfo.Info SystemInfo.NRI SystemInfo.ProductLicense Runtime.*
SwarmInfo.Cluster SwarmInfo.Managers SwarmInfo.Nodes SystemVersion.Experimental
BuildCacheDiskUsage.Items ImagesDiskUsage.Items SwarmSpec.CAConfig.* SwarmSpec.TaskDefaults.LogDriver
EngineDescription.Labels ResourceObject.GenericResources NodeSpec.Name NodeStatus.Message
SecretSpec.* ConfigSpec.Templating EndpointPortConfig.Name Service.JobStatus Service.ServiceStatus
Service.UpdateStatus ServiceSpec.* TaskSpec.* NetworkAttachmentConfig.* Task.AssignedGenericResources
Task.JobIteration Task.Name TaskStatus.Err PortStatus.Ports
""".split()
# The file has moby's types, but not these: a task's network is of the swarm; the other two say "ID".
NOT_AS_DOCUMENTED = {"NetworkAttachment.Network", "/secrets/create", "/configs/create"}
# CSI plugins and BuildKit are not there.
NOT_SERVED = {("/volumes/{name}", "put"), ("/session", "post"), ("/images/{name}/attestations", "get")}
# Pointers in moby's types.
NULLABLE = {".ExitCode", ".HostConfig.OomKillDisable", ".HostConfig.MemorySwappiness"}
tests = failed = 0


def check(what, bad):
    global tests, failed
    tests += 1
    failed += bool(bad)
    print(f"{'not ' if bad else ''}ok {tests} - {what}")
    for line in bad:
        print(f"# {line}")


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(SOCKET)


def call(method, path, body=None, headers=None):
    c = Connection("d")
    data = json.dumps(body) if isinstance(body, (dict, list)) else body
    c.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
    r = c.getresponse()
    text = r.read(1 << 20)
    c.close()
    return r.status, text


def resolve(schema):
    """The schema without references, and the name of the first."""
    name = ""
    while "$ref" in schema:
        name = name or schema["$ref"].rsplit("/", 1)[1]
        schema = DOC["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    if "allOf" in schema:
        whole = {k: v for k, v in schema.items() if k != "allOf"}
        whole["properties"] = dict(whole.get("properties", {}))
        for part in schema["allOf"]:
            part, part_name = resolve(part)
            name = name or part_name
            whole["properties"].update(part.get("properties", {}))
            whole = {**part, **whole}
        schema = whole
    return schema, name


def optional(name, field):
    return f"{name}.{field}" in OPTIONAL or any(o[-1] == "*" and f"{name}.".startswith(o[:-1]) for o in OPTIONAL)


def walk(value, schema, where, bad, inside=""):
    """inside: the name of an object that has none of its own, "Definition.field"."""
    schema, name = resolve(schema)
    name = name or inside
    kind = schema.get("type", "object" if "properties" in schema else None)
    if value is None:
        # Go's nil slices, maps and pointers
        scalar = kind in ("string", "boolean", "integer", "number")
        if scalar and not schema.get("x-nullable") and where not in NULLABLE:
            bad.append(f"{where}: null, not {kind}")
        return
    if kind in TYPES and not isinstance(value, TYPES[kind]):
        bad.append(f"{where}: {type(value).__name__}, not {kind}")
        return
    if kind in ("integer", "number") and (isinstance(value, bool) or not isinstance(value, (int, float))):
        bad.append(f"{where}: {type(value).__name__}, not {kind}")
        return
    if kind == "integer" and isinstance(value, float):
        bad.append(f"{where}: a fraction, not an integer")
    if "enum" in schema and value not in schema["enum"] and value != "":
        bad.append(f"{where}: {value!r} is none of {schema['enum']}")
    if kind == "array":
        for i, item in enumerate(value[:20]):
            walk(item, schema.get("items", {}), f"{where}[{i}]", bad, name)
    elif kind == "object":
        properties = schema.get("properties", {})
        for field, sub in properties.items():
            path = f"{name}.{field}"
            if path in NOT_AS_DOCUMENTED:
                continue
            if field in value:
                walk(value[field], sub, f"{where}.{field}", bad, path)
            elif not optional(name, field):
                bad.append(f"{where}.{field} is missing ({path})")
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            for field in value:
                if field not in properties:
                    walk(value[field], extra, f"{where}.{field}", bad, name)


def answer(method, template, path, body=None):
    """Ask for a path of the file; what differs is a failed test. Returns the answer."""
    status, text = call(method, path, body)
    responses = DOC["paths"][template][method.lower()]["responses"]
    bad = []
    value = None
    if status not in responses or status >= 400:
        bad.append(f"{method} {path}: {status} {text[:200]!r}")
    elif "schema" in responses[status]:
        try:
            value = json.loads(text)
            if template in NOT_AS_DOCUMENTED:
                value["Id"] = value.get("ID")
            walk(value, responses[status]["schema"], "", bad)
        except ValueError:
            bad.append(f"no JSON: {text[:200]!r}")
    check(f"{method} {template}", sorted(set(re.sub(r"\[\d+\]", "[]", b) for b in bad)))
    return value


def q(**filters):
    return urllib.parse.quote(json.dumps(filters))


# --- routes: with names of nothing, each is answered, but not "page not found" ---
bad = []
for template, methods in DOC["paths"].items():
    for method in methods:
        if method == "parameters" or (template, method) == ("/events", "get"):
            continue
        path = re.sub(r"\{[^}]*\}", "none", template)
        # what would do something without a body or name
        if template.endswith("/prune") or template in ("/swarm/leave", "/images/load", "/build"):
            path += "?filters=x&tag=none&remote=none&t=X:::"
        status, text = call(method.upper(), path)
        if status == 405 or b"page not found" in text or (status == 501 and (template, method) not in NOT_SERVED):
            bad.append(f"{method.upper()} {template}: {status} {text[:100]!r}")
check("every path and method", bad)

# --- containers, images, volumes, networks ---
health = {"Test": ["CMD", "true"], "Interval": 100000000, "Timeout": 10000000000, "Retries": 3}
c = answer("POST", "/containers/create", "/containers/create?name=one", {
    "Image": "alpine", "Cmd": ["sh", "-c", "echo word; echo x > /new; exec sleep 1000"], "Healthcheck": health,
    "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/anonymous": {}}, "Labels": {"a": "b"},
    "HostConfig": {"Binds": ["/tmp:/bound:ro", "named:/named"], "PortBindings": {"80/tcp": [{"HostPort": "8080"}]},
                   "Tmpfs": {"/t": ""}, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}}})
answer("POST", "/containers/{id}/start", "/containers/one/start")
for _ in range(300):
    state = json.loads(call("GET", "/containers/one/json")[1])["State"]
    if state.get("Health", {}).get("Status") == "healthy":
        break
    time.sleep(0.1)
answer("GET", "/containers/json", "/containers/json?all=1&size=1")
one = answer("GET", "/containers/{id}/json", "/containers/one/json?size=1")
answer("GET", "/containers/{id}/top", "/containers/one/top")
answer("GET", "/containers/{id}/changes", "/containers/one/changes")
answer("GET", "/containers/{id}/stats", "/containers/one/stats?stream=0")
answer("POST", "/containers/{id}/update", "/containers/one/update", {"Memory": 1 << 26, "MemorySwap": 1 << 27})
e = answer("POST", "/containers/{id}/exec", "/containers/one/exec", {"Cmd": ["sleep", "1000"], "AttachStdout": True})
call("POST", f"/exec/{e['Id']}/start", {"Detach": True})
answer("GET", "/exec/{id}/json", f"/exec/{e['Id']}/json")
answer("POST", "/commit", "/commit?container=one&repo=made&comment=c", {})
answer("GET", "/images/json", "/images/json?shared-size=1&manifests=1")
answer("GET", "/images/{name}/json", "/images/made/json")
answer("GET", "/images/{name}/history", "/images/made/history")
answer("POST", "/volumes/create", "/volumes/create", {"Name": "vol", "Labels": {"a": "b"}})
answer("GET", "/volumes", "/volumes")
answer("GET", "/volumes/{name}", "/volumes/vol")
answer("POST", "/networks/create", "/networks/create", {"Name": "net", "Labels": {"a": "b"}})
call("POST", "/networks/net/connect", {"Container": "one"})
answer("GET", "/networks", "/networks")
answer("GET", "/networks/{id}", "/networks/net")
answer("GET", "/info", "/info")
answer("GET", "/version", "/version")
answer("GET", "/system/df", "/system/df?verbose=1")
answer("GET", "/plugins", "/plugins")
since = int(time.time()) - 60
status, text = call("GET", f"/events?since={since}&until={time.time():.9f}")
bad = []
for line in text.splitlines():
    walk(json.loads(line), DOC["paths"]["/events"]["get"]["responses"][200]["schema"], "", bad)
check("GET /events", sorted(set(bad)) if text.strip() else ["no event"])
call("POST", "/containers/one/kill")
answer("POST", "/containers/{id}/wait", "/containers/one/wait")
answer("POST", "/containers/prune", "/containers/prune")
answer("DELETE", "/images/{name}", "/images/made")
answer("POST", "/images/prune", "/images/prune")
answer("POST", "/volumes/prune", f"/volumes/prune?filters={q(all=['1'])}")
answer("POST", "/networks/prune", "/networks/prune")
answer("POST", "/build/prune", "/build/prune")

# --- the swarm ---
answer("POST", "/swarm/init", "/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": ADDRESS})
answer("GET", "/swarm", "/swarm")
answer("GET", "/swarm/unlockkey", "/swarm/unlockkey")
nodes = answer("GET", "/nodes", "/nodes")
answer("GET", "/nodes/{id}", f"/nodes/{nodes[0]['ID']}")
secret = answer("POST", "/secrets/create", "/secrets/create", {"Name": "s", "Data": "eA==", "Labels": {"a": "b"}})
config = answer("POST", "/configs/create", "/configs/create", {"Name": "c", "Data": "eA==", "Labels": {"a": "b"}})
answer("GET", "/secrets", "/secrets")
answer("GET", "/secrets/{id}", f"/secrets/{secret['ID']}")
answer("GET", "/configs", "/configs")
answer("GET", "/configs/{id}", f"/configs/{config['ID']}")
net = json.loads(call("POST", "/networks/create", {"Name": "over", "Driver": "overlay", "Attachable": True})[1])["Id"]
spec = {"Name": "web", "Labels": {"a": "b"}, "Mode": {"Replicated": {"Replicas": 2}},
        "TaskTemplate": {"ContainerSpec": {"Image": "alpine", "Command": ["sleep", "1000"], "Env": ["A=b"],
                                           "Secrets": [{"SecretID": secret["ID"], "SecretName": "s", "File": {"Name": "s", "UID": "0", "GID": "0", "Mode": 256}}]},
                         "Networks": [{"Target": net}]},
        "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8090}]}}
service = answer("POST", "/services/create", "/services/create", spec)
for _ in range(600):
    tasks = json.loads(call("GET", f"/tasks?filters={q(service=['web'])}")[1])
    if sum(t["Status"]["State"] == "running" for t in tasks) == 2:
        break
    time.sleep(0.1)
services = answer("GET", "/services", "/services?status=1")
answer("GET", "/services/{id}", f"/services/{service['ID']}")
answer("GET", "/tasks", "/tasks")
answer("GET", "/tasks/{id}", f"/tasks/{tasks[0]['ID']}")
answer("GET", "/networks/{id}", f"/networks/{net}?verbose=1")
version = json.loads(call("GET", f"/services/{service['ID']}")[1])["Version"]["Index"]
spec["UpdateConfig"] = {"Parallelism": 1}
answer("POST", "/services/{id}/update", f"/services/{service['ID']}/update?version={version}", spec)
answer("GET", "/info", "/info")
call("DELETE", f"/services/{service['ID']}")
call("POST", "/swarm/leave?force=1")
print(f"# {tests} tests, {failed} failed")
