-- The batch of an older version of the journey from which the contacts of this one came, at the steps at which they waited.
alter table batches add column moved_from text;

create unique index batches_moved on batches (moved_from, version) where moved_from is not null and state = 'running';
