-- A version's text as it was written, with its comments and its order; null for versions from before this column.

alter table journey_versions add column source text;
