-- How often in a row a worker died with this work in hand (queue/deaths.py), with nothing done in between.

alter table batches add column deaths integer not null default 0;
alter table spans add column deaths integer not null default 0;
alter table cohorts add column deaths integer not null default 0;
