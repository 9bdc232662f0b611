"""Carry out one change on fal with its own package: asked on standard input, told by lines."""

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

MOST_LISTED = 500


def beside(name: str) -> ModuleType:
    """Return the module of that name in this folder, out of reach of what the app calls so."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_falkit_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Refused(Exception):  # noqa: N818  # no failure: a thing that falkit does not do
    """What falkit does not send, with the code that falkit gives it."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class Worker:
    """The operations, over one client of fal that knows no key but the proxy's token."""

    def __init__(self, asked: Mapping[str, Any], tell: Callable[..., None]) -> None:
        self._args: Mapping[str, Any] = asked["args"]
        self._tell = tell
        client = import_module("fal.api").SyncServerlessClient
        self._client = client(host=asked["host"], api_key=f"falkit:{asked['token']}")

    def connection(self) -> Any:  # noqa: ANN401
        return self._client._create_host()._connection  # has no public name

    def deploy(self) -> dict[str, Any]:
        steps = import_module("fal.api.deploy")
        os.chdir(self._args["folder"])
        _leave_files_to_falkit()
        self._tell(stage="importing")
        prepared = self._prepared(steps)
        _check_sendable(prepared.loaded.function.options, Path(self._args["file"] or "."))
        self._tell(stage="building")
        done = steps.execute_prepared_deployment(
            prepared,
            result_handler=self._handler("deploy"),
            build_result_handler=self._handler("build"),
        )
        return {"revision": done.revision, "app": done.app_name, "auth": done.auth_mode}

    def _prepared(self, steps: Any) -> Any:  # noqa: ANN401
        """Load the app, with what a ``pyproject.toml`` says of it where that names it."""
        args = self._args
        path: str | None = None
        if args["file"]:
            file = Path(args["folder"]) / args["file"]
            sys.path.append(str(file.parent))
            path = str(file)
        utils = import_module("fal.cli._utils")
        said = utils.get_app_data_from_toml(args["project"]) if args["project"] else utils.AppData()
        if said.python_entry_point is not None:
            raise Refused(
                "not_offered", "python_entry_point is not deployed by falkit; name the file as ref"
            )
        app = replace(
            said,
            ref=path,
            name=args["app_name"],
            auth=args["auth"],
            team=None,
            deployment_strategy="rolling",
            reset_scale=args["reset_scale"],
            attach_to_deployment=True,  # detached, a failed rollout would not be taken back
            message=args["message"],
            annotations=args["annotations"],
        )
        steps._validate_deploy_message(app.message)  # what `deploy` does itself
        steps._validate_deploy_annotations(app.annotations)
        reference = (path, (args["class_name"] or None) if path else None)
        return steps._prepare_deployment_from_reference(
            self._client, reference, app, force_env_build=False
        )

    def _handler(self, step: str) -> Any:  # noqa: ANN401
        tell = self._tell

        class Handler(import_module("fal.api.api").ResultHandler):
            def on_log(self, log: Any) -> None:  # noqa: ANN401
                level = str(getattr(log.level, "name", log.level)).lower()
                tell(log=str(log.message)[:4000], level=level, step=step)

        return Handler()

    def scale(self) -> dict[str, Any]:
        done = self._client.apps.scale(self._args["app"], **self._args["settings"])
        return {"revision": done.revision}

    def roll_back(self) -> dict[str, Any]:
        with self.connection() as connection:
            done = connection.create_alias(
                self._args["app"], self._args["revision"], None, deployment_strategy="rolling"
            )
        return {"revision": done.revision}

    def restart(self) -> dict[str, Any]:
        self._client.apps.rollout(self._args["app"], force=False)
        return {}

    def delete(self) -> dict[str, Any]:
        with self.connection() as connection:
            revision = connection.delete_alias(self._args["app"])
        if revision is None:
            raise Refused("not_found", f"there is no app {self._args['app']}")
        return {"revision": revision}

    def set_secret(self) -> dict[str, Any]:
        args = self._args
        self._client.secrets.set(args["name"], args["value"], default_exposed=args["exposed"])
        return {}

    def unset_secret(self) -> dict[str, Any]:
        self._client.secrets.unset(self._args["name"])
        return {}

    def list_secrets(self) -> dict[str, Any]:
        return {"names": [secret.name for secret in self._client.secrets.list()][:MOST_LISTED]}

    def list_apps(self) -> dict[str, Any]:
        wanted = self._args.get("app") or ""
        listed: list[Any] = self._client.apps.list()
        found: list[dict[str, Any]] = [
            cast("dict[str, Any]", vars(app)) for app in listed if wanted in ("", app.alias)
        ]
        return {"apps": found[:MOST_LISTED]}

    def show_app(self) -> dict[str, Any]:
        found = self.list_apps()
        return found | self.list_revisions() | self.list_runners() if found["apps"] else found

    def list_revisions(self) -> dict[str, Any]:
        with self.connection() as connection:
            found = connection.list_applications(self._args["app"])
        rows = [
            {"revision": one.application_id, "created": one.created_at.isoformat()} for one in found
        ]
        return {"revisions": rows[:MOST_LISTED]}

    def list_runners(self) -> dict[str, Any]:
        rows = [
            {
                "runner": one.runner_id,
                "state": one.state.value,
                "revision": one.revision,
                "machine": one.machine_type,
                "requests": one.in_flight_requests,
                "seconds": one.uptime.total_seconds(),
            }
            for one in self._client.apps.runners(self._args["app"])
        ]
        return {"runners": rows[:MOST_LISTED]}


OPERATIONS: Mapping[str, Callable[[Worker], dict[str, Any]]] = {
    "deploy": Worker.deploy,
    "scale": Worker.scale,
    "roll_back": Worker.roll_back,
    "restart": Worker.restart,
    "delete": Worker.delete,
    "set_secret": Worker.set_secret,
    "unset_secret": Worker.unset_secret,
    "list_secrets": Worker.list_secrets,
    "list_apps": Worker.list_apps,
    "show_app": Worker.show_app,
    "list_revisions": Worker.list_revisions,
    "list_runners": Worker.list_runners,
}


def _check_sendable(options: Any, file: Path) -> None:  # noqa: ANN401
    """Refuse an app that wants a package built from a folder of this machine.

    Raises:
        Refused: with what to do instead.
    """
    wanted: Any = options.environment.get("requirements") or []
    if import_module("fal.api._sdist").has_local_path(wanted, str(file.parent)):
        raise Refused(
            "files_not_sent",
            "a requirement that is a folder of this machine is not sent; name a released package",
        )


def _leave_files_to_falkit() -> None:
    """Have `fal` name the files that go along and send none: falkit does, from its own copy."""
    module = import_module("fal.file_sync")
    real = module.FileSync.collect_files

    def collected(
        self: Any,  # noqa: ANN401
        paths: list[str],
        files_context_dir: str | None = None,
        files_ignore: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        context = module._get_script_dir(self.local_file_path, files_context_dir)
        for path in paths:
            if not any(sign in path for sign in "*?[") and not (context / path).exists():
                raise Refused("files_not_sent", f"{path!r} is no part of the source that was read")
        return real(self, paths, files_context_dir, files_ignore)

    def none_missing(self: Any, hashes: list[str]) -> list[str]:  # noqa: ANN401
        return []

    module.FileSync.collect_files = collected
    module.FileSync.check_hashes_on_server = none_missing


def failure(problem: BaseException, folder: Path, words_of: Callable[..., str]) -> dict[str, Any]:
    """Return what went wrong, as far as it is known on this side."""
    code = problem.code if isinstance(problem, Refused) else ""
    status: Any = getattr(problem, "code", None)
    grpc_code = ""
    if callable(status):
        answered: Any = status()
        grpc_code = str(answered.name)
    details: Any = getattr(problem, "details", None)
    text = str(details() if callable(details) and grpc_code else problem)
    kind = type(problem).__name__
    is_fals = type(problem).__module__.partition(".")[0] in ("fal", "grpc", "isolate")
    words = text if is_fals or grpc_code or code else words_of(problem, folder)
    cause = problem.__cause__
    return {
        "code": code,
        "kind": kind,
        "grpc": grpc_code,
        "of_fal": is_fals or bool(grpc_code or code),
        "words": words[:2000],
        "cause": words_of(cause, folder)[:1000] if cause is not None else "",
    }


def main() -> None:
    """Do what the first line of standard input asks, and tell what came of it in the last line."""
    shared = beside("app_class")
    tell = shared.Teller()
    asked = cast("dict[str, Any]", json.loads(sys.stdin.readline()))
    os.close(0)
    os.open(os.devnull, os.O_RDONLY)

    def say(line: str) -> None:
        tell(said=line)

    sys.stdout, sys.stderr = shared.Lines(sys.stdout, say), shared.Lines(sys.stderr, say)
    folder = Path(asked["args"].get("folder") or ".")
    try:
        done = OPERATIONS[asked["op"]](Worker(asked, tell))
    except BaseException as problem:
        tell(failed=failure(problem, folder, shared.words_of))
        return
    tell(done=done)


if __name__ == "__main__":
    try:
        main()
    finally:
        # Threads and exit handlers of the app must not keep the answer from being the end.
        os._exit(0)
