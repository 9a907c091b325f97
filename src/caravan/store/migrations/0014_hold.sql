-- A batch that is held for review: once its file is read it is paused, until it is resumed, which sets this back. Of one
-- that ended before, it stays.

alter table batches add column hold boolean not null default false;
