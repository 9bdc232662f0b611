"""Stand between a worker without a key and fal: let through what a plan confirmed, with the key."""

import ctypes
import hashlib
import json
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, cast

# Of the environment that has `fal`, and without types there.
grpc: Any = import_module("grpc")
wire: Any = import_module("isolate_proto.controller_pb2")
to_dict: Callable[[Any], dict[str, Any]] = import_module(
    "google.protobuf.json_format"
).MessageToDict

SERVICE = "/controller.IsolateController/"
STREAMS = WITH_FILES = ("BuildEnvironment", "RegisterApplication")
FILES_SECONDS = 3600.0
MOST_BYTES = 64 << 20
ANY = "*"
LONGEST_DETAILS = 600
PR_SET_DUMPABLE = 4
# What `fal` 1.83 adds to the requirements of every app, from its own environment.
OWN_REQUIREMENTS = re.compile(
    r"(fastapi|pydantic|tblib|uvicorn|starlette_exporter|packaging|structlog|tomli|tomli-w|httpx"
    r"|websockets|msgpack)((==|>=)[0-9][0-9A-Za-z.]*)?"
)
# What an environment may say beside its requirements, which are looked at one by one.
ENVIRONMENT_WORDS = ("resolver", "requirements", "python_version", "compile_bytecode")
# What of a registration is the app's own affair: it neither opens it up nor makes it dearer.
FREE = (
    "function", "metadata", "build_environment", "health_check_config", "private_logs",
    "skip_retry_conditions", "retry_config", "termination_grace_period_seconds", "data_mounts",
    "env_id", "run_on_main_thread",
)  # fmt: skip
FREE_OF_MACHINES = ("exposed_port", "metrics_port", "request_start_timeout")


class RefusedError(Exception):
    """A call that the plan does not hold; its text is for people."""


class Policy:
    """What one plan confirmed. *reads* are let through as they are, *write* once, if it fits."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.write = str(plan["write"])
        self._reads = tuple(plan["reads"])
        self._exact: Mapping[str, Any] = plan.get("exact") or {}
        self._deploy: Mapping[str, Any] = plan.get("deploy") or {}
        self._written = False
        self._lock = threading.Lock()

    def check(self, method: str, raw: bytes) -> list[str]:
        """Let a call pass, or refuse it; return the digests of files that must be there first.

        Raises:
            RefusedError: it is not what was confirmed, or was made before.
        """
        if method not in (self.write, *self._reads):
            raise RefusedError(f"{method or 'this call'} is no part of the plan")
        request = _parsed(method, raw)
        if method == "BuildEnvironment":
            self._check_build(request)
        elif method == "RegisterApplication":
            self._check_registration(request)
        elif method == self.write:
            _check_exact(request, self._exact)
        if method == self.write:
            with self._lock:
                if self._written:
                    raise RefusedError(f"{method} was sent before; it is sent once")
                self._written = True
        return [file.hash for file in request.files] if method in WITH_FILES else []

    def _check_build(self, request: Any) -> None:  # noqa: ANN401
        known = ("environments", "machine_requirements", "application_name", "secrets", "files")
        _check_known(request, known, "environment_name")
        self._check_common(request, whole=False)

    def _check_registration(self, request: Any) -> None:  # noqa: ANN401
        plan = self._deploy
        known = (
            "environments", "machine_requirements", "application_name", "auth_mode", "secrets",
            "deployment_strategy", "scale", "source_code", "attach_to_deployment", "files", *FREE,
        )  # fmt: skip
        _check_known(request, known, "environment_name")
        self._check_common(request, whole=True)
        if request.WhichOneof("callable") not in ("function", None):
            raise RefusedError("an entry point on fal's side is not what was confirmed")
        _same("auth", wire.ApplicationAuthMode.Name(request.auth_mode).lower(), plan["auth"])
        strategy = wire.DeploymentStrategy.Name(request.deployment_strategy).lower()
        _same("strategy", strategy, "rolling")
        _same("attached", request.attach_to_deployment, True)
        _same("reset_scale", request.scale, plan["reset_scale"])
        said = hashlib.sha256(request.source_code.encode()).hexdigest()
        if said != plan["source_sha256"]:
            raise RefusedError("its source is not the confirmed one")
        meta = to_dict(request.metadata)
        if plan["mark"] and plan["mark"] not in json.dumps(meta.get("annotations")):
            raise RefusedError("it does not carry the plan's id")

    def _check_common(self, request: Any, *, whole: bool) -> None:  # noqa: ANN401
        plan = self._deploy
        _same("name", request.application_name, plan["app"])
        names = list(request.secrets.names) if request.HasField("secrets") else None
        if (None if names is None else sorted(names)) != plan["secrets"]:
            raise RefusedError(f"secrets {_said(names)} instead of {_said(plan['secrets'])}")
        self._check_files(request.files)
        if len(request.environments) != 1:
            raise RefusedError(f"{len(request.environments)} environments instead of one")
        self._check_environment(request.environments[0])
        self._check_machine(request.machine_requirements, whole=whole)

    def _check_files(self, files: Sequence[Any]) -> None:
        confirmed: Mapping[str, Sequence[str]] = self._deploy["files"]
        for file in files:
            name = f"/{file.relative_path}"
            if not any(f"/{path}".endswith(name) for path in confirmed.get(file.hash, ())):
                raise RefusedError(
                    f"file {file.relative_path[:80]!r} is not of the confirmed source"
                )

    def _check_environment(self, environment: Any) -> None:  # noqa: ANN401
        plan = self._deploy
        _same("environment", environment.kind, plan["kind"])
        configuration = to_dict(environment.configuration)
        allowed = (*ENVIRONMENT_WORDS, *(("image",) if plan["kind"] == "container" else ()))
        for name in configuration:
            if name not in allowed:
                raise RefusedError(f"its environment says {name}, which no plan confirms")
        if plan["python_version"]:
            _same("Python", configuration.get("python_version"), plan["python_version"])
        for wanted in _flat(configuration.get("requirements") or []):
            if wanted not in plan["requirements"] and not OWN_REQUIREMENTS.fullmatch(wanted):
                raise RefusedError(f"requirement {wanted[:80]!r} was not confirmed")

    def _check_machine(self, machine: Any, *, whole: bool) -> None:  # noqa: ANN401
        plan = self._deploy
        numbers: Mapping[str, Sequence[int | str | None]] = plan["numbers"]
        known = (
            "machine_type", "machine_types", "valid_regions", "scheduler", "scheduler_options",
            *FREE_OF_MACHINES, *numbers,
        )  # fmt: skip
        _check_known(machine, known, "")
        _same("machine", list(machine.machine_types), plan["machine_types"])
        _same("machine", machine.machine_type, plan["machine_types"][0])
        regions = sorted(machine.valid_regions)
        if regions not in plan["regions"] and ANY not in plan["regions"] and whole:
            raise RefusedError(f"regions {_said(regions)} instead of {_said(plan['regions'][0])}")
        if machine.scheduler not in ("", "nomad"):
            raise RefusedError(f"scheduler {_said(machine.scheduler)} was not confirmed")
        options = to_dict(machine.scheduler_options)
        if options not in ({}, {"storage_region": "us-east"}):
            raise RefusedError("options of the scheduler were not confirmed")
        for name, allowed in numbers.items():
            value = getattr(machine, name) if machine.HasField(name) else None
            # A build is told little of the machine; a registration must say all that counts.
            is_open = value is None and not whole
            if not is_open and value not in allowed and ANY not in allowed:
                raise RefusedError(f"{name} {_said(value)} instead of {_said(allowed[0])}")


def _parsed(method: str, raw: bytes) -> Any:  # noqa: ANN401
    """Return the request, which must hold nothing that the pinned protocol does not know."""
    kind = getattr(wire, f"{method}Request")
    try:
        request, known = kind.FromString(raw), kind.FromString(raw)
    except Exception as problem:
        raise RefusedError(f"{method} cannot be read") from problem
    known.DiscardUnknownFields()
    if known.ByteSize() != request.ByteSize():
        raise RefusedError(f"{method} holds more than falkit knows")
    return request


def _check_known(message: Any, known: Sequence[str], environment: str) -> None:  # noqa: ANN401
    for field, value in message.ListFields():
        if field.name == environment and value in ("", "main"):
            continue
        if field.name not in known:
            raise RefusedError(f"{field.name} was not confirmed")


def _check_exact(request: Any, expected: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Refuse a request that is not *expected*, field by field; True stands for any value."""
    sent: dict[str, Any] = {}
    for field, value in request.ListFields():
        if field.name == "environment_name" and value in ("", "main"):
            continue
        named = field.enum_type.values_by_number[value].name.lower() if field.enum_type else value
        sent[field.name] = named if isinstance(named, str | int) else list(named)
    for name in sorted({*sent, *expected}):
        if name not in expected:
            raise RefusedError(f"{name} was not confirmed")
        if name not in sent and expected[name] not in ("", 0, False):
            raise RefusedError(f"{name} is missing")
        if expected[name] is not True and name in sent and sent[name] != expected[name]:
            raise RefusedError(f"{name} {_said(sent[name])} instead of {_said(expected[name])}")


def _same(name: str, sent: Any, confirmed: Any) -> None:  # noqa: ANN401
    if sent != confirmed:
        raise RefusedError(f"{name} {_said(sent)} instead of {_said(confirmed)}")


def _said(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return "none"
    listed = cast("list[Any]", value) if isinstance(value, list) else [value]
    return ", ".join(repr(one)[:80] if isinstance(one, str) else str(one) for one in listed) or "''"


def _flat(listed: Sequence[Any]) -> Iterator[str]:
    for one in listed:
        if isinstance(one, list):
            yield from _flat(cast("list[Any]", one))
        else:
            yield str(one)


class Proxy:
    """Answers the worker. Whatever happens to a call is told to falkit and written down."""

    def __init__(self, asked: Mapping[str, Any], tell: Callable[..., None]) -> None:
        self._policy = Policy(asked["plan"])
        self._token = str(asked["token"])
        self._key_id, _, self._secret = str(asked["key"]).partition(":")
        self._audit = Path(asked["audit"])
        self._noted: Mapping[str, Any] = asked["noted"]
        self._tell = tell
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._there: set[str] = set()
        options = [
            ("grpc.max_receive_message_length", MOST_BYTES),
            ("grpc.max_send_message_length", MOST_BYTES),
            ("grpc.enable_retries", 0),  # the worker's own are enough, and a write has none
        ]
        local = bool(asked["local"])
        trusted = grpc.local_channel_credentials() if local else grpc.ssl_channel_credentials()
        self._channel = grpc.secure_channel(str(asked["upstream"]), trusted, options)

    def service(self, handler_call_details: Any) -> Any:  # noqa: ANN401
        """Return what answers a call: the same for all."""
        path = str(handler_call_details.method)
        method = path.removeprefix(SERVICE) if path.startswith(SERVICE) else ""
        sent: dict[str, Any] = dict(handler_call_details.invocation_metadata or ())
        token = str(sent.get("auth-key", ""))

        def several(raw: bytes, context: Any) -> Iterator[bytes]:  # noqa: ANN401
            return self._answered(method, token, raw, context)

        def one(raw: bytes, context: Any) -> bytes:  # noqa: ANN401
            return next(self._answered(method, token, raw, context))

        if method in STREAMS:
            return grpc.unary_stream_rpc_method_handler(several, _same_bytes, _same_bytes)
        return grpc.unary_unary_rpc_method_handler(one, _same_bytes, _same_bytes)

    def _answered(
        self,
        method: str,
        token: str,
        raw: bytes,
        context: Any,  # noqa: ANN401
    ) -> Iterator[bytes]:
        try:
            if token != self._token:
                raise RefusedError("it comes from somebody else")
            self._wait_for_files(self._policy.check(method, raw))
        except RefusedError as refused:
            self._note(method, decision="refused", why=str(refused))
            self._tell(refused=method, why=str(refused))
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"falkit refused it: {refused}")
        self._note(method, decision="forwarded", bytes=len(raw))
        self._tell(forwarded=method)
        # A thread of its own hears the answer: the end of a write is wanted even when the worker
        # that asked for it is gone.
        heard: queue.SimpleQueue[bytes | tuple[str, str]] = queue.SimpleQueue()
        threading.Thread(target=self._ask, args=(method, raw, heard), daemon=True).start()
        while isinstance(came := heard.get(), bytes):
            yield came
        code, details = came
        if code != "OK":
            # UNAVAILABLE would be repeated by the worker, which a write must not be.
            safe = "ABORTED" if code == "UNAVAILABLE" and method == self._policy.write else code
            context.abort(grpc.StatusCode[safe], details)

    def heard(self, line: str) -> None:
        """Take what falkit says of files: that they are there, or why they are not."""
        self._said.put(json.loads(line))

    def _wait_for_files(self, digests: Sequence[str]) -> None:
        """Have falkit send what was not sent before.

        Raises:
            RefusedError: it could not.
        """
        with self._sending:
            wanted = sorted({*digests} - self._there)
            if not wanted:
                return
            self._tell(wanted=wanted)
            try:
                said = self._said.get(timeout=FILES_SECONDS)
            except queue.Empty:
                said = {"failed": "they did not arrive in time"}
            if said.get("failed"):
                raise RefusedError(f"its files could not be sent: {said['failed']}")
            self._there |= {*wanted}

    def _ask(self, method: str, raw: bytes, heard: Any) -> None:  # noqa: ANN401
        sent = [("auth-key-id", self._key_id), ("auth-key", self._secret)]
        result: dict[str, Any] = {}
        code, details = "OK", ""
        try:
            if method in STREAMS:
                call = self._channel.unary_stream(SERVICE + method, _same_bytes, _same_bytes)
                for answer in call(raw, metadata=sent):
                    result |= self._understood(method, answer)
                    heard.put(answer)
            else:
                call = self._channel.unary_unary(SERVICE + method, _same_bytes, _same_bytes)
                answer = call(raw, metadata=sent)
                result |= self._understood(method, answer)
                heard.put(answer)
        except grpc.RpcError as problem:
            failed: Any = problem
            code = failed.code().name
            details = self._clean(str(failed.details() or ""))
        except Exception as problem:
            code, details = "INTERNAL", self._clean(f"{type(problem).__name__}: {problem}")
        if method == "SetSecret" and (value := wire.SetSecretRequest.FromString(raw).value):
            details = details.replace(value, "***")
        self._note(method, code=code, why=details, **result)
        self._tell(answered=method, code=code, details=details, **result)
        heard.put((code, details))

    def _understood(self, method: str, answer: bytes) -> dict[str, Any]:
        """Return what of an answer falkit wants to know from here, not from the worker."""
        if self._secret.encode() in answer:
            raise ValueError("the answer held the key")
        if method != "RegisterApplication":
            return {}
        read = wire.RegisterApplicationResult.FromString(answer)
        known: dict[str, Any] = {}
        if read.HasField("result"):
            known["revision"] = read.result.application_id
        if read.HasField("service_urls"):
            known["address"] = read.service_urls.run
        return known

    def _clean(self, text: str) -> str:
        return text.replace(self._secret, "***").replace(self._key_id, "***")[:LONGEST_DETAILS]

    def _note(self, method: str, **facts: Any) -> None:  # noqa: ANN401
        line = json.dumps({"at": round(time.time(), 3), **self._noted, "call": method, **facts})
        with suppress(OSError):
            handle = os.open(self._audit, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line.encode() + b"\n")
            finally:
                os.close(handle)


def _same_bytes(message: bytes) -> bytes:
    return message


def _hide() -> None:
    """Keep other processes of this account from reading the memory of this one."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def main() -> None:
    """Read what to do from the first line of standard input, and serve until that ends."""
    _hide()
    asked = json.loads(sys.stdin.readline())
    lock = threading.Lock()

    def tell(**record: Any) -> None:  # noqa: ANN401
        with lock, suppress(OSError):
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()

    options = [
        ("grpc.max_receive_message_length", MOST_BYTES),
        ("grpc.max_send_message_length", MOST_BYTES),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
    proxy = Proxy(asked, tell)
    server.add_generic_rpc_handlers((proxy,))
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    if asked["socket"]:
        local = grpc.local_server_credentials(grpc.LocalConnectionType.UDS)
        server.add_secure_port(f"unix:{asked['socket']}", local)
    server.start()
    tell(port=port)
    while line := sys.stdin.readline():
        proxy.heard(line)
    server.stop(0)
    os._exit(0)


if __name__ == "__main__":
    main()
