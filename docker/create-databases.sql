-- The article service's database is made by POSTGRES_DB; each service has one of its own.
CREATE DATABASE comment;
