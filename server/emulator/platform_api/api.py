"""`platform_routes`: the platform API of one emulator folder as routes."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from catalog.index import CatalogIndex
from server.emulator.answers import ApiRefusal
from server.emulator.pace import Pace
from server.emulator.platform_api.account import Account
from server.emulator.platform_api.app_files import AppFiles
from server.emulator.platform_api.app_logs import AppLogs
from server.emulator.platform_api.apps import AppRows
from server.emulator.platform_api.assets import Assets
from server.emulator.platform_api.collections import Collections
from server.emulator.platform_api.compute import Compute
from server.emulator.platform_api.door import BASE, Door
from server.emulator.platform_api.keys import Keys
from server.emulator.platform_api.ledger import Ledger
from server.emulator.platform_api.meta import Meta
from server.emulator.platform_api.models import Models
from server.emulator.platform_api.requests import Requests
from server.emulator.platform_api.serverless import Serverless
from server.emulator.platform_api.storage import StorageApi
from server.emulator.platform_api.usage import Usage
from server.emulator.platform_api.workflows import Workflows
from server.emulator.shelf import Shelf
from server.emulator.store import Store

EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
PROJECT = "project"  # the folder of the account's project storage


def platform_routes(
    folder: Path, catalog: CatalogIndex, store: Store, shelf: Shelf, pace: Pace
) -> list[BaseRoute]:
    """Return every operation under ``/api/v1``, the models' schemas, and the API's own controls."""
    door = Door(catalog, store)
    ledger = Ledger(catalog, store)
    apps = AppRows(door)
    return [
        *Models(door, ledger).routes(),
        *Usage(door, ledger).routes(),
        *Requests(door, shelf).routes(),
        *Workflows(door).routes(),
        *Collections(door).routes(),
        *Assets(door).routes(),
        *StorageApi(door, shelf).routes(),
        *Serverless(door, apps).routes(),
        *AppLogs(door, apps).routes(),
        *AppFiles(door, shelf, folder / PROJECT).routes(),
        *Compute(door, pace).routes(),
        *Keys(door).routes(),
        *Account(door, ledger).routes(),
        *Meta(door).routes(),
        Route(f"{BASE}/{{path:path}}", nothing_here, methods=EVERY_METHOD),
    ]


async def nothing_here(request: Request) -> Response:
    """Refuse an operation that this API does not have."""
    raise ApiRefusal(404, f"{request.method} {request.url.path} not found")
