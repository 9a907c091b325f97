-- A batch that starts again with contacts of another: of which batch, with which outcome, at which step (null: at any), and
-- up to which entry of that batch's journal.

alter table batches add column restart_of text;
alter table batches add column restart_outcome text;
alter table batches add column restart_step text;
alter table batches add column restart_upto bigint;
create index batches_restarting on batches (restart_of) where state = 'reading';

-- Cohorts that entered the journey: their files have the contacts with the properties that they entered with.
alter table cohorts add column entry boolean not null default false;
