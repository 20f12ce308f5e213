-- The databases and roles of an installation: a database a service, closed to every role but its owner's, and the
-- reader role a service's routes read with. Run once with psql, by a superuser, or where there is none (a managed server)
-- by a role that may create databases and roles.
--
-- Each owner's password comes from the environment: INTAKE_PASSWORD, AUTHORIZATION_PASSWORD, ASSIGNMENT_PASSWORD,
-- NOTIFICATION_PASSWORD, CONSOLE_PASSWORD; DATABASE_PASSWORD is that of those which have none of their own.

\set ON_ERROR_STOP on
\set common ''
\getenv common DATABASE_PASSWORD
\set intake :common
\set authorization :common
\set assignment :common
\set notification :common
\set console :common
\getenv intake INTAKE_PASSWORD
\getenv authorization AUTHORIZATION_PASSWORD
\getenv assignment ASSIGNMENT_PASSWORD
\getenv notification NOTIFICATION_PASSWORD
\getenv console CONSOLE_PASSWORD

-- A password that was forgotten ends it here, before anything is made.
CREATE TEMP TABLE service (name text, password text CHECK (password <> ''));
INSERT INTO service VALUES
  ('intake', :'intake'), ('authorization', :'authorization'),
  ('assignment', :'assignment'), ('notification', :'notification'), ('console', :'console');

SELECT format('CREATE ROLE %I LOGIN PASSWORD %L NOSUPERUSER NOCREATEDB NOCREATEROLE', name, password) FROM service \gexec
SELECT format('CREATE ROLE %I NOLOGIN', name || '_reader') FROM service \gexec
SELECT format('GRANT %I TO %I', name || '_reader', name) FROM service \gexec
-- Who is no superuser may give a database only to a role that it may become; taken back at the end.
SELECT format('GRANT %I TO CURRENT_USER', name) FROM service \gexec
SELECT format('CREATE DATABASE %I OWNER %I', name, name) FROM service \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name) FROM service \gexec
-- Closed to the services where they are ours to close; a managed server's own are its provider's.
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname) FROM pg_database
  WHERE datname IN ('postgres', 'template1') AND pg_has_role(datdba, 'USAGE') \gexec

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

\connect console
ALTER SCHEMA public OWNER TO console;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO console_reader;

REVOKE intake, "authorization", assignment, notification, console FROM CURRENT_USER;
