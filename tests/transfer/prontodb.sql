CREATE TABLE kv (
    project TEXT NOT NULL, namespace TEXT NOT NULL, key TEXT NOT NULL, context TEXT,
    value TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    expires_at INTEGER, PRIMARY KEY (project, namespace, key, context)
);
CREATE TABLE sys_namespaces (
    project TEXT NOT NULL, namespace TEXT NOT NULL, is_ttl BOOLEAN NOT NULL DEFAULT 0,
    default_ttl INTEGER, created_at INTEGER NOT NULL, PRIMARY KEY (project, namespace)
);
INSERT INTO sys_namespaces VALUES ('app', 'sessions', 1, 1800, unixepoch());
INSERT INTO kv VALUES ('app', 'conf', 'url', NULL, 'http://localhost', 1, 1, NULL);
INSERT INTO kv VALUES ('app', 'conf', 'url', 'prod', 'https://example.org', 1, 1, NULL);
INSERT INTO kv VALUES ('app', 'sessions', 'ada', NULL, 't0k3n', 1, 1, unixepoch() + 600);
