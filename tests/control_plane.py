"""A double of fal's control plane on loopback, started with a Python that has `fal`.

It speaks gRPC as `isolate_proto` publishes it, keeps apps in memory, and tells every call it gets
as one JSON line on standard output. Lines on standard input change how it behaves:
``{"fail": {"SetAlias": ["NOT_FOUND", "words"]}}`` refuses a call, ``{"hang": ["SetAlias"]}`` does
what is asked and never answers, ``{"lose": […]}`` does it and breaks off,
``{"mute": ["RegisterApplication"]}`` ends the stream without a result, ``{"nameless": true}``
leaves out the addresses, ``{"logs": […]}`` is what a build says, and ``{"calm": true}`` undoes them
all. It ends with its standard input.
"""

import json
import sys
import threading
import uuid
from concurrent import futures
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

# Of the environment that has `fal`, and without types there.
grpc: Any = import_module("grpc")
isolate_proto: Any = import_module("isolate_proto")
definitions: Any = import_module("isolate.server.definitions")
wire: Any = import_module("isolate_proto.controller_pb2")
service: Any = import_module("isolate_proto.controller_pb2_grpc")
to_dict: Any = import_module("google.protobuf.json_format").MessageToDict

USUAL = {
    "keep_alive": 10,
    "max_concurrency": 2,
    "min_concurrency": 0,
    "max_multiplexing": 1,
    "concurrency_buffer": 0,
    "concurrency_buffer_perc": 0,
    "scaling_delay_seconds": 0,
    "request_timeout": 3600,
    "startup_timeout": 600,
}
INHERITED = tuple(name for name in USUAL if name not in ("max_multiplexing", "startup_timeout"))
STREAMS = ("BuildEnvironment", "RegisterApplication", "Run")


class Control(service.IsolateControllerServicer):
    """Apps and secrets of one account whose key is ``key-id:key-secret``."""

    def __init__(self) -> None:
        self.revisions: dict[str, dict[str, Any]] = {}
        self.apps: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, str] = {}
        self.behaviour: dict[str, Any] = {}
        self.over = threading.Event()
        self._lock = threading.Lock()

    def tell(self, **record: Any) -> None:
        with self._lock:
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()

    def arrive(self, request: Any, context: Any) -> str:
        """Tell of a call, and refuse it where it is to be refused; return its name."""
        kind = type(request).__name__.removesuffix("Request")
        name = {"SetAlias": "SetAlias", "HostedRun": "Run"}.get(kind, kind)
        sent = dict(context.invocation_metadata())
        shown = to_dict(request, preserving_proto_field_name=True)
        shown.get("function", {}).pop("definition", None)
        key = f"{sent.get('auth-key-id', '')}:{sent.get('auth-key', '')}"
        self.tell(call=name, key=key, request=shown)
        if refusal := self.behaviour.get("fail", {}).get(name):
            context.abort(grpc.StatusCode[refusal[0]], refusal[1])
        if key != "key-id:key-secret":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Invalid key credentials")
        return name

    def leave(self, name: str, context: Any) -> None:
        """Never answer, or break off, where that is asked for."""
        if name in self.behaviour.get("lose", ()):
            context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        if name in self.behaviour.get("hang", ()):
            self.tell(hanging=name)
            self.over.wait()

    def find(self, name: str, context: Any) -> dict[str, Any]:
        if name not in self.apps:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Application {name} not found")
        return self.apps[name]

    def BuildEnvironment(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = self.arrive(request, context)
        for line in self.behaviour.get("logs", ["Building environment..."]):
            yield wire.BuildEnvironmentResult(env_id="env", logs=[_log(line)])
        self.leave(name, context)
        state = wire.HostedRunStatus.INTERNAL_FAILURE
        if name not in self.behaviour.get("mute", ()):
            state = wire.HostedRunStatus.SUCCESS
        yield wire.BuildEnvironmentResult(env_id="env", status=wire.HostedRunStatus(state=state))

    def RegisterApplication(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = self.arrive(request, context)
        machine = request.machine_requirements
        scale = {key: getattr(machine, key) or usual for key, usual in USUAL.items()}
        old = self.apps.get(request.application_name)
        if old is not None and not request.scale:
            scale |= {key: old["scale"][key] for key in INHERITED}
        yield wire.RegisterApplicationResult(logs=[_log("Starting a runner...")])
        if name in self.behaviour.get("mute", ()):
            return
        revision = str(uuid.uuid4())
        meta = to_dict(request.metadata)
        self.revisions[revision] = {"app": request.application_name, "scale": scale}
        self.apps[request.application_name] = {
            "revision": revision,
            "scale": scale,
            "machines": list(machine.machine_types),
            "auth": request.auth_mode,
        }
        told = {
            "name": request.application_name,
            "machine_type": machine.machine_types[0],
            "auth_mode": wire.ApplicationAuthMode.Name(request.auth_mode).lower(),
            "keep_alive": scale["keep_alive"],
            "min_concurrency": scale["min_concurrency"],
            "max_concurrency": scale["max_concurrency"],
            "message": meta.get("message"),
            "annotations": meta.get("annotations"),
        }
        self.tell(registered=told, revision=revision)
        self.leave(name, context)
        base = f"https://fal.run/me/{request.application_name}"
        addresses = wire.ServiceURLs(playground=base, run=base, queue=base, ws=base, log=base)
        yield wire.RegisterApplicationResult(
            result=wire.RegisterApplicationResultType(application_id=revision),
            service_urls=None if self.behaviour.get("nameless") else addresses,
        )

    def UpdateApplication(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = self.arrive(request, context)
        app = self.find(request.application_name, context)
        for key in USUAL:
            if request.HasField(key):
                app["scale"][key] = getattr(request, key)
        self.leave(name, context)
        return wire.UpdateApplicationResult(alias_info=self._alias(request.application_name))

    def SetAlias(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = self.arrive(request, context)
        app = self.find(request.alias, context)
        if request.revision not in self.revisions:
            context.abort(grpc.StatusCode.NOT_FOUND, "Revision not found")
        app["revision"] = request.revision
        self.leave(name, context)
        return wire.SetAliasResult(alias_info=self._alias(request.alias))

    def RolloutApplication(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = self.arrive(request, context)
        self.find(request.application_name, context)
        self.leave(name, context)
        return wire.RolloutApplicationResult()

    def DeleteAlias(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = self.arrive(request, context)
        self.find(request.alias, context)
        revision = self.apps.pop(request.alias)["revision"]
        self.leave(name, context)
        return wire.DeleteAliasResult(revision=revision)

    def SetSecret(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = self.arrive(request, context)
        if request.HasField("value"):
            self.secrets[request.name] = request.value
        else:
            self.secrets.pop(request.name, None)
        self.leave(name, context)
        return wire.SetSecretResponse()

    def ListSecrets(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.arrive(request, context)
        names = [wire.Secret(name=name, environment_name="main") for name in self.secrets]
        return wire.ListSecretsResponse(secrets=names)

    def ListAliases(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.arrive(request, context)
        return wire.ListAliasesResult(aliases=[self._alias(name) for name in self.apps])

    def ListApplications(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.arrive(request, context)
        found = [
            wire.ApplicationInfo(
                application_id=revision,
                created_at=isolate_proto.timestamp_from_datetime(datetime.now(UTC)),
                environment_name="main",
                **held["scale"],
            )
            for revision, held in self.revisions.items()
            if not request.HasField("application_name") or held["app"] == request.application_name
        ]
        return wire.ListApplicationsResult(applications=found)

    def ListAliasRunners(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.arrive(request, context)
        app = self.find(request.alias, context)
        runner = wire.RunnerInfo(
            runner_id="runner-1",
            uptime=12.5,
            revision=app["revision"],
            alias=request.alias,
            state=wire.RunnerInfo.State.Value("RUNNING"),
            machine_type="S",
        )
        return wire.ListAliasRunnersResponse(runners=[runner])

    def _alias(self, name: str) -> Any:
        app = self.apps[name]
        return wire.AliasInfo(
            alias=name,
            revision=app["revision"],
            auth_mode=app["auth"],
            machine_types=app["machines"],
            environment_name="main",
            **app["scale"],
        )


def _log(line: str) -> Any:
    return definitions.Log(
        message=line,
        source=definitions.LogSource.BUILDER,
        level=definitions.LogLevel.INFO,
        timestamp=isolate_proto.timestamp_from_datetime(datetime.now(UTC)),
    )


def main() -> None:
    """Serve until standard input ends."""
    control = Control()
    pool = futures.ThreadPoolExecutor(16)
    server = grpc.server(pool, options=[("grpc.max_receive_message_length", -1)])
    service.add_IsolateControllerServicer_to_server(control, server)
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    server.start()
    control.tell(port=port)
    for line in sys.stdin:
        said = json.loads(line)
        control.behaviour = {} if said.get("calm") else {**control.behaviour, **said}
        control.tell(behaves=control.behaviour)
    control.over.set()
    server.stop(0)


if __name__ == "__main__":
    main()
