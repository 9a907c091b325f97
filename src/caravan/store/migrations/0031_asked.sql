-- While it is set, the contacts have been asked something at their step, and stand there until they are answered for.
alter table cohorts add column asked boolean not null default false;
