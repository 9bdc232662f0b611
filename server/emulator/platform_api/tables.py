"""`prepare`: the tables in which the platform API keeps what is not a request or a file."""

from server.emulator.store import Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY,
    secret TEXT,
    alias TEXT NOT NULL,
    created REAL NOT NULL,
    preset TEXT NOT NULL DEFAULT 'FULL',
    permissions TEXT NOT NULL DEFAULT '[]',
    deleted REAL
);
CREATE TABLE IF NOT EXISTS answered (
    caller TEXT NOT NULL,
    operation TEXT NOT NULL,
    key TEXT NOT NULL,
    at REAL NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (caller, operation, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS workflows (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    contents TEXT NOT NULL,
    is_public INTEGER NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (owner, name)
);
CREATE TABLE IF NOT EXISTS collections (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    icon TEXT,
    color TEXT,
    cover TEXT,
    identifier TEXT UNIQUE,
    parent TEXT,
    favorite INTEGER NOT NULL DEFAULT 0,
    filters TEXT NOT NULL DEFAULT 'null',
    images TEXT NOT NULL DEFAULT '[]',
    created REAL NOT NULL,
    updated REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS assets (
    id TEXT PRIMARY KEY,
    vector_id TEXT NOT NULL UNIQUE,
    request_id TEXT,
    output_key TEXT NOT NULL,
    url TEXT,
    type TEXT NOT NULL,
    title TEXT NOT NULL,
    endpoint TEXT,
    created REAL NOT NULL,
    source TEXT NOT NULL,
    prompt TEXT,
    width REAL,
    height REAL,
    content_type TEXT,
    favorite INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS assets_of_request ON assets (request_id);
CREATE INDEX IF NOT EXISTS assets_of_url ON assets (url);
CREATE TABLE IF NOT EXISTS collected (
    collection_id TEXT NOT NULL,
    asset_id TEXT NOT NULL,
    PRIMARY KEY (collection_id, asset_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tags (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS tagged (
    tag_id TEXT NOT NULL,
    asset_id TEXT NOT NULL,
    PRIMARY KEY (tag_id, asset_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    sector TEXT,
    ssh_key TEXT NOT NULL,
    creator TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS apps (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    environment TEXT NOT NULL,
    record TEXT NOT NULL,
    updated REAL NOT NULL,
    PRIMARY KEY (owner, name, environment)
);
CREATE TABLE IF NOT EXISTS revisions (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT PRIMARY KEY,
    created REAL NOT NULL,
    message TEXT,
    annotations TEXT NOT NULL DEFAULT 'null',
    status TEXT,
    deployed_by TEXT
);
CREATE TABLE IF NOT EXISTS app_events (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    at REAL NOT NULL,
    payload TEXT NOT NULL
);
"""


def prepare(store: Store) -> None:
    """Make the tables that are not there yet; call it through `Store.do`."""
    known = "SELECT 1 FROM sqlite_master WHERE name = 'app_events'"  # the last of them
    if store.reading().execute(known).fetchone():
        return
    with store.writing() as db:
        for statement in SCHEMA.split(";"):
            db.execute(statement)
