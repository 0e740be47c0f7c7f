-- The role of the DB service: it reads and writes rows, and changes nothing else. The tables belong to
-- merchstore, which migrates them. Runs at each start of PostgreSQL, in the store's database.
\set ON_ERROR_STOP on
\getenv password APP_PASSWORD
SELECT 'CREATE ROLE merchstore_app LOGIN' WHERE to_regrole('merchstore_app') IS NULL \gexec
ALTER ROLE merchstore_app PASSWORD :'password';
GRANT pg_read_all_stats TO merchstore_app; -- as for merchstore
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO merchstore_app;
-- Not the ledger of migrations. In a new database it exists only at the next start.
SELECT format('REVOKE INSERT, UPDATE, DELETE ON %I FROM merchstore_app', tablename) FROM pg_tables
WHERE schemaname = 'public' AND tablename IN ('goose_db_version', 'goose_db_running') \gexec
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO merchstore_app;
ALTER DEFAULT PRIVILEGES FOR ROLE merchstore IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO merchstore_app;
ALTER DEFAULT PRIVILEGES FOR ROLE merchstore IN SCHEMA public GRANT USAGE ON SEQUENCES TO merchstore_app;
-- PostgreSQL gives these to everybody, the former until version 14.
GRANT CREATE ON SCHEMA public TO merchstore;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
