-- The databases and roles of an installation: a database a service, closed to every role but its owner's, and the
-- reader role a service's routes read with. Run once by a superuser: psql -f databases.sql, with DATABASE_PASSWORD set.
-- It is every owner's first password; where the services do not share a machine, give each its own afterwards:
-- ALTER ROLE intake PASSWORD '…'.

\set ON_ERROR_STOP on
\getenv password DATABASE_PASSWORD

CREATE TEMP TABLE service (name text);
INSERT INTO service VALUES ('intake'), ('authorization'), ('assignment'), ('notification');

SELECT format('CREATE ROLE %I LOGIN PASSWORD %L NOSUPERUSER NOCREATEDB NOCREATEROLE', name, :'password') FROM service \gexec
SELECT format('CREATE ROLE %I NOLOGIN', name || '_reader') FROM service \gexec
SELECT format('GRANT %I TO %I', name || '_reader', name) FROM service \gexec
SELECT format('CREATE DATABASE %I OWNER %I', name, name) FROM service \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name) FROM service \gexec
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;

\connect intake
ALTER SCHEMA public OWNER TO intake;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO intake_reader;

\connect "authorization"
ALTER SCHEMA public OWNER TO "authorization";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO authorization_reader;

\connect assignment
ALTER SCHEMA public OWNER TO assignment;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO assignment_reader;

\connect notification
ALTER SCHEMA public OWNER TO notification;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO notification_reader;
